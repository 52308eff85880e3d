// A chain of events, from the first cause to promotion, rejection or rollback.

import { html } from "../components/vendor/htm-preact.js";
import { useAnswer } from "./answer.js";
import { useOpening } from "./dialog.js";
import { Icon } from "../components/glyphs.js";
import { Picture } from "../components/picture.js";
import { clock, count, day, millis } from "../components/words.js";

function span(events) {
  const [first, last] = [events[0], events[events.length - 1]];
  const seconds = (millis(last.wall_time) - millis(first.wall_time)) / 1000;
  return `${count(events.length, "event")}, ${day(first.time)} to ${day(last.time)} in event time, ${seconds < 120 ? `${seconds.toFixed(0)} s` : `${(seconds / 60).toFixed(0)} min`} wall time`;
}

export function Chain({ id }) {
  const opening = useOpening();
  const { data, problem } = useAnswer(`chains/${encodeURIComponent(id)}`, (event) => event.correlation_id === id);
  const loop = data?.events[0].loop;
  return html`<p class="crumbs"><a href="#/">Loops</a>${loop ? html` / <a href=${`#/loop/${encodeURIComponent(loop)}`}>${loop}</a>` : null}</p>
    <h1 tabindex="-1">Chain of causes</h1>
    ${problem && !data ? html`<p class="problem">${problem.message}</p>` : null}
    ${data ? html`<p class="question">${data.events[0].line}</p><p class="muted">${span(data.events)}</p>
      <section class="panel whole" aria-label="Picture"><${Picture} events=${data.events} onOpen=${opening.event} /><${Key} events=${data.events} /></section>
      <section class="panel whole" aria-labelledby="events"><h2 id="events">Events</h2>
        <div class="scroll" tabindex="0" role="group" aria-label="Events of the chain"><table class="chain">
          <thead><tr><th scope="col">Event time</th><th scope="col">Event</th><th scope="col">By</th><th scope="col">Published</th></tr></thead>
          <tbody>${data.events.map((event) => html`<tr key=${event.id}><td>${day(event.time)}</td>
            <td><button type="button" class="link" onClick=${() => opening.event(event.id)}><${Icon} name=${event.glyph} size=${14} /> ${event.line}</button></td>
            <td>${event.source}</td><td class="muted">${clock(event.wall_time)}</td></tr>`)}</tbody></table></div></section>` : html`<p class="muted">Loading…</p>`}`;
}

const LABELS = {
  alarm: "alarm", person: "a user", run: "run", trained: "trained", better: "passed", worse: "failed", unknown: "not known yet",
  shadow: "shadow", canary: "canary", champion: "champion", ended: "ended", back: "rolled back", route: "route", wait: "waits",
};

function Key({ events }) {
  const shown = new Set(events.map((event) => event.glyph));
  return html`<ul class="key">${Object.keys(LABELS).filter((name) => shown.has(name)).map((name) => html`<li key=${name}><${Icon} name=${name} size=${15} /> ${LABELS[name]}</li>`)}</ul>`;
}
