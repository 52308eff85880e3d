// How far inputs are from what the champion was trained on, window by window; which inputs is the reader's choice.

import { html, useMemo, useRef, useState } from "../components/vendor/htm-preact.js";
import { useAnswer } from "./answer.js";
import { Plot } from "../components/plot.js";
import { millis } from "../components/words.js";

const MOST = 6;

// What detectors watch first, then what moved most.
function first(inputs, thresholds) {
  const known = new Set(inputs.map((each) => each.name));
  const watched = Object.keys(thresholds).filter((name) => known.has(name));
  const others = [...inputs].sort((a, b) => b.greatest - a.greatest).map((each) => each.name);
  return [...new Set([...watched, ...others])].slice(0, Math.max(3, Math.min(MOST, watched.length)));
}

export function Drift({ loop, plan, marks }) {
  const touches = (event) => event.loop === loop && event.kind === "WindowClosed";
  const name = encodeURIComponent(loop);
  const inputs = useAnswer(`loops/${name}/inputs?newest=90`, touches).data?.inputs;
  const [chosen, choose] = useState(null);
  const thresholds = plan?.thresholds ?? {};
  const shown = chosen ?? (inputs ? first(inputs, thresholds) : null);
  const query = (shown ?? []).map((each) => `input=${encodeURIComponent(each)}`).join("&") || "input=";
  const { data } = useAnswer(shown ? `loops/${name}/windows?newest=90&${query}` : null, touches);
  const drawn = useRef(null); // stays until what was chosen instead has come
  if (data) drawn.current = { shown, windows: data.windows.filter((each) => each.champion) };
  if (inputs?.length === 0) return html`<p class="muted">No window of a champion has closed yet.</p>`;
  if (!drawn.current) return html`<p class="muted">Loading…</p>`;
  const { windows } = drawn.current;
  const series = drawn.current.shown.map((input) => ({ name: input, points: windows.map((each) => ({ x: millis(each.end), y: each.psi[input] ?? null })) }));
  const levels = drawn.current.shown.filter((each) => each in thresholds).map((each) => ({ y: thresholds[each], text: `${each} is watched above ${thresholds[each]}` }));
  return html`<p class="muted">Population stability index of inputs against the champion's training data: 0 is the same, above 0.25 is much.</p>
    <${Chooser} inputs=${inputs} chosen=${shown} onChoose=${choose} />
    <${Plot} label=${`Drift of ${loop}'s inputs by window`} times=${windows.map((each) => millis(each.end))} series=${series} levels=${levels} marks=${marks} digits=${2} fromZero />`;
}

function Chooser({ inputs, chosen, onChoose }) {
  const [part, setPart] = useState("");
  const sorted = useMemo(() => [...inputs].sort((a, b) => b.newest - a.newest), [inputs]);
  const found = sorted.filter((each) => each.name.toLowerCase().includes(part.toLowerCase()));
  const full = chosen.length >= MOST;
  const turn = (name) => onChoose(chosen.includes(name) ? chosen.filter((each) => each !== name) : [...chosen, name]);
  return html`<details class="chooser"><summary>Inputs: ${chosen.length} of ${inputs.length} shown</summary>
    <label for="part">Find <input id="part" type="search" value=${part} onInput=${(event) => setPart(event.target.value)} /></label>
    <fieldset><legend>By newest index${full ? `; ${MOST} at most` : ""}</legend><div class="scroll options" tabindex="0" role="group" aria-label="Inputs">
      ${found.map((each) => html`<label key=${each.name}><input type="checkbox" checked=${chosen.includes(each.name)} disabled=${full && !chosen.includes(each.name)} onChange=${() => turn(each.name)} />
        <span>${each.name}</span><span class="muted number">${each.newest.toFixed(2)}</span></label>`)}
    </div></fieldset></details>`;
}
