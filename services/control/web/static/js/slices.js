// Quality of the champion by slice over the newest windows.

import { html } from "../components/vendor/htm-preact.js";
import { useAnswer } from "./answer.js";
import { signed } from "../components/words.js";

const number = (value) => (value === null ? "" : value.toFixed(4));

export function Slices({ loop, plan }) {
  const { data } = useAnswer(`loops/${encodeURIComponent(loop)}/slices?newest=90`, (event) => event.loop === loop && event.kind === "WindowClosed");
  if (!data) return html`<p class="muted">Loading…</p>`;
  if (!data.slices.length) return html`<p class="muted">No window has outcomes of a slice of the champion yet.</p>`;
  return html`<p class="muted">The champion's outcomes in the last 90 windows, all and by slice. Mean ${plan?.loss ?? "loss"}, lower is better; calibration is mean score minus mean outcome.</p>
    <div class="scroll" tabindex="0" role="group" aria-label=${`Slices of ${loop}`}><table class="slices">
      <thead><tr><th scope="col">Slice</th><th scope="col" class="number">Outcomes</th><th scope="col" class="number">Loss</th><th scope="col" class="number">Mean score</th><th scope="col" class="number">Mean outcome</th><th scope="col" class="number">Calibration</th></tr></thead>
      <tbody>${data.slices.map((slice) => html`<tr key=${slice.slice}><th scope="row">${slice.slice}</th><td class="number">${slice.rows.toLocaleString("en-GB")}</td>
        ${slice.loss === null ? html`<td colspan="4" class="muted">fewer than ${slice.min_rows} outcomes</td>`
          : html`<td class="number">${number(slice.loss)}</td><td class="number">${number(slice.score)}</td><td class="number">${number(slice.outcome)}</td><td class="number">${signed(slice.calibration)}</td>`}</tr>`)}</tbody></table></div>`;
}
