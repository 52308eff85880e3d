// Dialog with one event and its content.

import { html } from "../components/vendor/htm-preact.js";
import { useAnswer } from "./answer.js";
import { Dialog, useOpening } from "./dialog.js";
import { Icon } from "../components/glyphs.js";
import { clock, count, day } from "../components/words.js";

export function EventDialog({ id, onClose }) {
  const { data, problem } = useAnswer(`events/${encodeURIComponent(id)}`, () => false);
  const title = data ? html`<${Icon} name=${data.glyph} size=${20} /> ${data.title}` : "Event";
  return html`<${Dialog} title=${title} onClose=${onClose} wide>
    ${problem ? html`<p class="problem" role="alert">${problem.message}</p>` : null}
    ${data ? html`<${Content} event=${data} onClose=${onClose} />` : null}
  </${Dialog}>`;
}

function Content({ event, onClose }) {
  const opening = useOpening();
  const link = (id) => html`<button type="button" class="link" onClick=${() => opening.event(id)}><code>${id}</code></button>`;
  return html`<p class="lead">${event.line}</p>
    <dl class="facts">
      <dt>event time</dt><dd>${day(event.time)} UTC</dd>
      <dt>published</dt><dd>${clock(event.wall_time)} UTC, by ${event.source}</dd>
      <dt>id</dt><dd><code>${event.id}</code></dd>
      <dt>caused by</dt><dd>${event.causation_id ? link(event.causation_id) : "no event"}</dd>
      <dt>chain</dt><dd><a href=${`#/chain/${encodeURIComponent(event.correlation_id)}`} onClick=${onClose}>chain of causes</a></dd>
      ${event.evidence_ids.length ? html`<dt>evidence</dt><dd><details><summary>${count(event.evidence_ids.length, "event")}</summary>
        <ul class="ids">${event.evidence_ids.map((id) => html`<li key=${id}>${link(id)}</li>`)}</ul></details></dd>` : null}
    </dl>
    <h3>Content</h3>
    <pre tabindex="0" aria-label="Content of the event">${JSON.stringify(sorted(event.payload), null, 2)}</pre>`;
}

// Short fields first, lists last.
function sorted(payload) {
  const weight = (value) => (typeof value === "object" && value !== null ? 1 : 0);
  return Object.fromEntries(Object.entries(payload).sort(([a, b], [c, d]) => weight(b) - weight(d) || a.localeCompare(c)));
}
