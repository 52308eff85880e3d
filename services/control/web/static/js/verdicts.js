// Verdicts on a release, with their intervals on one scale.

import { html, useState } from "../components/vendor/htm-preact.js";
import { useOpening } from "./dialog.js";
import { Icon } from "../components/glyphs.js";
import { Interval, reach } from "../components/interval.js";
import { count, day, interval } from "../components/words.js";

export function Verdicts({ releases }) {
  const judged = [...releases].filter((release) => release.verdicts.length).reverse();
  const [selected, select] = useState(null);
  if (!judged.length) return html`<p class="muted">No release has a verdict yet.</p>`;
  const release = judged.find((candidate) => candidate.release_id === selected) ?? judged[0];
  const verdicts = [...release.verdicts].reverse();
  const scale = reach(verdicts);
  return html`<div class="row"><label for="judged">Release</label>
      <select id="judged" value=${release.release_id} onChange=${(event) => select(event.target.value)}>
        ${judged.map((release) => html`<option value=${release.release_id}>${release.release_id}, ${release.stage}</option>`)}</select>
      <a href=${`#/chain/${encodeURIComponent(release.correlation_id)}`}>its chain</a></div>
    ${release.ended_because ? html`<p>Ended: ${release.ended_because.split("; ")[0]}.</p>` : null}
    <p class="muted">Gain: the champion's loss minus the challenger's on the same outcomes. Above zero, the challenger is better.</p>
    <div class="scroll" tabindex="0" role="group" aria-label=${`Verdicts on ${release.release_id}`}><table class="verdicts">
      <thead><tr><th scope="col">When</th><th scope="col">Verdict</th><th scope="col">Gain, ${Math.round(100 * (verdicts[0].level || 0.95))}% interval</th></tr></thead>
      <tbody>${verdicts.map((verdict) => html`<${Row} key=${verdict.event_id} verdict=${verdict} scale=${scale} />`)}</tbody></table></div>`;
}

function Row({ verdict, scale }) {
  const opening = useOpening();
  return html`<tr><td>${day(verdict.time)}<div class="muted">${verdict.stage}</div></td>
    <td><button type="button" class="link" onClick=${() => opening.event(verdict.event_id)} title=${verdict.reasons.join("; ")}>
      <${Icon} name=${verdict.glyph} size=${14} /> ${verdict.outcome}</button>
      ${verdict.limit_reached ? html`<div class="muted">limit reached</div>` : null}</td>
    <td><${Interval} verdict=${verdict} scale=${scale} width=${150} />
      ${verdict.estimate === undefined ? null : html`<div class="muted numbers-of">${interval(verdict)}, ${count(verdict.blocks, "block")}</div>`}</td></tr>`;
}
