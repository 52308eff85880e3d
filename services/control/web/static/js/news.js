// Notable events, newest first.

import { html } from "../components/vendor/htm-preact.js";
import { useAnswer } from "./answer.js";
import { useOpening } from "./dialog.js";
import { Icon } from "../components/glyphs.js";
import { day } from "../components/words.js";

export function News({ loop = "", newest, withLoop = false }) {
  const opening = useOpening();
  const path = loop ? `loops/${encodeURIComponent(loop)}/timeline` : "timeline";
  const { data, problem } = useAnswer(`${path}?newest=${newest}`, (event) => event.notable && (!loop || event.loop === loop));
  if (problem && !data) return html`<p class="problem">${problem.message}</p>`;
  if (!data) return html`<p class="muted">Loading…</p>`;
  if (!data.events.length) return html`<p class="muted">No events yet.</p>`;
  return html`<ol class="news">${[...data.events].reverse().map((event) => html`<li key=${event.id}>
    <${Icon} name=${event.glyph} />
    <div><button type="button" class="link line" onClick=${() => opening.event(event.id)}>${event.line}</button>
      <div class="muted">${day(event.time)}${withLoop ? html`${" · "}<a href=${`#/loop/${encodeURIComponent(event.loop)}`}>${event.loop}</a>` : null}${" · "}<a href=${`#/chain/${encodeURIComponent(event.correlation_id)}`} aria-label=${`chain of: ${event.line}`}>chain</a></div></div></li>`)}</ol>`;
}
