// Quality of the champion by slice over the newest windows.

import { html } from "../components/vendor/htm-preact.js";
import { useAnswer } from "./answer.js";
import { count, signed } from "../components/words.js";

export function Slices({ loop, plan }) {
  const { data } = useAnswer(`loops/${encodeURIComponent(loop)}/slices?newest=90`, (event) => event.loop === loop && event.kind === "WindowClosed");
  if (!data) return html`<p class="muted">Loading…</p>`;
  const enough = data.slices.filter((slice) => slice.loss !== null);
  const few = data.slices.length - enough.length;
  if (!enough.length) return html`<p class="muted">No slice of the champion has enough outcomes yet.</p>`;
  return html`<p class="muted">The champion's outcomes in the last 90 windows, all and by slice. Mean ${plan?.loss ?? "loss"}, lower is better; calibration is mean score minus mean outcome.</p>
    <div class="scroll" tabindex="0" role="group" aria-label=${`Slices of ${loop}`}><table class="slices">
      <thead><tr><th scope="col">Slice</th><th scope="col" class="number">Outcomes</th><th scope="col" class="number">Loss</th><th scope="col" class="number">Mean score</th><th scope="col" class="number">Mean outcome</th><th scope="col" class="number">Calibration</th></tr></thead>
      <tbody>${enough.map((slice) => html`<tr key=${slice.slice}><th scope="row">${slice.slice}</th><td class="number">${slice.rows.toLocaleString("en-GB")}</td>
        <td class="number">${slice.loss.toFixed(4)}</td><td class="number">${slice.score.toFixed(4)}</td><td class="number">${slice.outcome.toFixed(4)}</td><td class="number">${signed(slice.calibration)}</td></tr>`)}</tbody></table></div>
    ${few ? html`<p class="muted">${count(few, "slice has", "slices have")} fewer outcomes than min_rows.</p>` : null}`;
}
