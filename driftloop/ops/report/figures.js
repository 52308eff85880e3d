// Draws the figures of a report with the components of the page.

import { html, render, useState } from "./vendor/htm-preact.js";
import { Interval, reach } from "./interval.js";
import { Picture } from "./picture.js";
import { Plot } from "./plot.js";
import { day, interval } from "./words.js";

function Chain({ events }) {
  const [id, open] = useState(null);
  const event = events.find((each) => each.id === id);
  return html`<${Picture} events=${events} onOpen=${open} />
    <output class="readout">${event ? html`<strong>${day(event.time)}</strong> · ${event.line}` : "Select an event to read its line."}</output>`;
}

function Intervals({ rows }) {
  const scale = reach(rows);
  return html`<table class="intervals"><thead><tr><th scope="col">verdict</th><th scope="col">worse or better than the champion</th><th scope="col" class="n">gain</th></tr></thead>
    <tbody>${rows.map((row) => html`<tr><th scope="row">${row.name}</th><td><${Interval} verdict=${row} scale=${scale} /></td><td class="number">${interval(row)}</td></tr>`)}</tbody></table>`;
}

const COMPONENTS = { chain: Chain, intervals: Intervals, plot: Plot };

for (const element of document.querySelectorAll("[data-figure]")) {
  const values = JSON.parse(element.querySelector("script").textContent);
  render(html`<${COMPONENTS[element.dataset.figure]} ...${values} />`, element);
}
