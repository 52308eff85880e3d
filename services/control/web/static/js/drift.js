// Drift of inputs from the champion's training data by window, for chosen inputs.

import { html, useMemo, useRef, useState } from "../components/vendor/htm-preact.js";
import { useAnswer } from "./answer.js";
import { Plot } from "../components/plot.js";
import { millis } from "../components/words.js";

const MAX_SHOWN = 6;

// Inputs with detectors first, then those that moved most.
function first(inputs, thresholds) {
  const known = new Set(inputs.map((input) => input.name));
  const watched = Object.keys(thresholds).filter((name) => known.has(name));
  const others = [...inputs].sort((a, b) => b.greatest - a.greatest).map((input) => input.name);
  return [...new Set([...watched, ...others])].slice(0, Math.max(3, Math.min(MAX_SHOWN, watched.length)));
}

export function Drift({ loop, plan, marks }) {
  const touches = (event) => event.loop === loop && event.kind === "WindowClosed";
  const name = encodeURIComponent(loop);
  const inputs = useAnswer(`loops/${name}/inputs?newest=90`, touches).data?.inputs;
  const [chosen, choose] = useState(null);
  const thresholds = plan?.thresholds ?? {};
  const shown = chosen ?? (inputs ? first(inputs, thresholds) : null);
  const query = (shown ?? []).map((name) => `input=${encodeURIComponent(name)}`).join("&") || "input=";
  const { data } = useAnswer(shown ? `loops/${name}/windows?newest=90&${query}` : null, touches);
  const drawn = useRef(null); // stays until the new choice is loaded
  if (data) drawn.current = { shown, windows: data.windows.filter((window) => window.champion) };
  if (inputs?.length === 0) return html`<p class="muted">No window of a champion has closed yet.</p>`;
  if (!drawn.current) return html`<p class="muted">Loading…</p>`;
  const { windows } = drawn.current;
  const series = drawn.current.shown.map((input) => ({ name: input, points: windows.map((window) => ({ x: millis(window.end), y: window.psi[input] ?? null })) }));
  const levels = drawn.current.shown.filter((input) => input in thresholds).map((input) => ({ y: thresholds[input], text: `${input} is watched above ${thresholds[input]}` }));
  return html`<p class="muted">Population stability index of inputs against the champion's training data: 0 means equal, above 0.25 strong drift.</p>
    <${Chooser} inputs=${inputs} chosen=${shown} onChoose=${choose} />
    <${Plot} label=${`Drift of ${loop}'s inputs by window`} times=${windows.map((window) => millis(window.end))} series=${series} levels=${levels} marks=${marks} digits=${2} fromZero />`;
}

function Chooser({ inputs, chosen, onChoose }) {
  const [part, setPart] = useState("");
  const sorted = useMemo(() => [...inputs].sort((a, b) => b.newest - a.newest), [inputs]);
  const matching = sorted.filter((input) => input.name.toLowerCase().includes(part.toLowerCase()));
  const full = chosen.length >= MAX_SHOWN;
  const toggle = (name) => onChoose(chosen.includes(name) ? chosen.filter((other) => other !== name) : [...chosen, name]);
  return html`<details class="chooser"><summary>Inputs: ${chosen.length} of ${inputs.length} shown</summary>
    <label for="part">Find <input id="part" type="search" value=${part} onInput=${(event) => setPart(event.target.value)} /></label>
    <fieldset><legend>By newest index${full ? `; ${MAX_SHOWN} at most` : ""}</legend><div class="scroll options" tabindex="0" role="group" aria-label="Inputs">
      ${matching.map((input) => html`<label key=${input.name}><input type="checkbox" checked=${chosen.includes(input.name)} disabled=${full && !chosen.includes(input.name)} onChange=${() => toggle(input.name)} />
        <span>${input.name}</span><span class="muted number">${input.newest.toFixed(2)}</span></label>`)}
    </div></fieldset></details>`;
}
