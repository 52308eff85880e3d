// What happened, newest first.

import { html } from "../vendor/htm-preact.js";
import { useAnswer } from "./answer.js";
import { useOpening } from "./dialog.js";
import { Icon, glyphOf, stageGlyph } from "./glyphs.js";
import { day, kindOf } from "./words.js";

// A stage or outcome stands in the line of an event that comes without its content.
function glyph(event) {
  const kind = kindOf(event);
  const stage = /enters ([a-z-]+)/.exec(event.line);
  if (kind === "StageEntered" && stage) return stageGlyph(stage[1]);
  const outcome = /: (passed|failed)\b/.exec(event.line);
  return glyphOf(kind, { outcome: { passed: "BETTER", failed: "WORSE" }[outcome?.[1]] });
}

export function News({ loop = "", newest, withLoop = false }) {
  const opening = useOpening();
  const path = loop ? `loops/${encodeURIComponent(loop)}/timeline` : "timeline";
  const { data, problem } = useAnswer(`${path}?newest=${newest}`, (event) => event.news && (!loop || event.loop === loop));
  if (problem && !data) return html`<p class="problem">${problem.message}</p>`;
  if (!data) return html`<p class="muted">Loading…</p>`;
  if (!data.events.length) return html`<p class="muted">Nothing has happened yet.</p>`;
  return html`<ol class="news">${[...data.events].reverse().map((event) => html`<li key=${event.id}>
    <${Icon} name=${glyph(event)} />
    <div><button type="button" class="link line" onClick=${() => opening.event(event.id)}>${event.line}</button>
      <div class="muted">${day(event.time)}${withLoop ? html`${" · "}<a href=${`#/loop/${encodeURIComponent(event.loop)}`}>${event.loop}</a>` : null}${" · "}<a href=${`#/chain/${encodeURIComponent(event.correlation_id)}`} aria-label=${`chain of: ${event.line}`}>chain</a></div></div></li>`)}</ol>`;
}
