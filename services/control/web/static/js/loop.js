// One loop: state, quality, drift, verdicts, events and history.

import { html } from "../components/vendor/htm-preact.js";
import { useAnswer } from "./answer.js";
import { Drift } from "./drift.js";
import { History } from "./history.js";
import { News } from "./news.js";
import { Quality, marks } from "./quality.js";
import { Slices } from "./slices.js";
import { Actions, Badges, Summary } from "./summary.js";
import { Verdicts } from "./verdicts.js";

const JUDGES = new Set(["VerdictReached", "StageEntered", "ReleaseCreated", "ReleaseRejected", "ReleaseRolledBack"]);

function Panel({ id, title, children, kind = "" }) {
  return html`<section class=${`panel ${kind}`} aria-labelledby=${id}><h2 id=${id}>${title}</h2>${children}</section>`;
}

export function Loop({ name, state }) {
  const loop = state.loops.find((candidate) => candidate.name === name);
  const path = `loops/${encodeURIComponent(name)}`;
  const releases = useAnswer(loop ? `${path}/releases` : null, (event) => event.loop === name && JUDGES.has(event.kind)).data?.releases ?? [];
  const events = useAnswer(loop ? `${path}/timeline?newest=500` : null, (event) => event.loop === name && event.kind === "DriftDetected").data?.events ?? [];
  if (!loop) return html`<h1 tabindex="-1">${name}</h1><p>This loop does not exist. <a href="#/">All loops</a></p>`;
  const plan = state.plans[name];
  return html`<p class="crumbs"><a href="#/">Loops</a></p>
    <header class="title"><h1 tabindex="-1">${name}</h1><${Badges} loop=${loop} /></header>
    ${loop.description ? html`<p class="question">${loop.description}</p>` : null}
    <div class="panels">
      <section class="panel state" aria-label="Now"><${Summary} loop=${loop} progress=${state.progress[name]} /><${Actions} loop=${loop} /></section>
      <${Panel} id="quality" title="Quality"><${Quality} loop=${name} releases=${releases} events=${events} plan=${plan} /></${Panel}>
      <${Panel} id="drift" title="Drift"><${Drift} loop=${name} plan=${plan} marks=${marks(releases, events)} /></${Panel}>
      ${Object.keys(plan?.slices ?? {}).length ? html`<${Panel} id="slices" title="Slices" kind="whole"><${Slices} loop=${name} plan=${plan} /></${Panel}>` : null}
      <${Panel} id="verdicts" title="Verdicts" kind="verdict-panel"><${Verdicts} releases=${releases} /></${Panel}>
      <${Panel} id="happened" title="Events" kind="news-panel"><${News} loop=${name} newest=${40} /></${Panel}>
      <${Panel} id="history" title="History" kind="whole"><${History} loop=${name} now=${loop.event_time} /></${Panel}>
    </div>`;
}
