// What was live when, for whom, and why; newest first.

import { html, useRef } from "../components/vendor/htm-preact.js";
import { useAnswer } from "./answer.js";
import { useOpening } from "./dialog.js";
import { Icon, stageGlyph } from "../components/glyphs.js";
import { useWidth } from "../components/plot.js";
import { day, inStage, millis, shortDay } from "../components/words.js";

const CHANGES = new Set(["StageEntered", "RouteConverged"]);

export function History({ loop, now }) {
  const opening = useOpening();
  const { data } = useAnswer(`loops/${encodeURIComponent(loop)}/history`, (event) => event.loop === loop && CHANGES.has(event.kind));
  if (!data) return html`<p class="muted">Loading…</p>`;
  if (!data.serving_periods.length) return html`<p class="muted">Nothing was live yet.</p>`;
  return html`<${Strip} serving_periods=${data.serving_periods} now=${now} /><div class="scroll" tabindex="0" role="group" aria-label=${`What was live when in ${loop}`}><table class="history">
    <thead><tr><th scope="col" class="number">Epoch</th><th scope="col">From</th><th scope="col">To</th><th scope="col">Champion</th><th scope="col">Challenger</th><th scope="col">By</th><th scope="col">Because</th></tr></thead>
    <tbody>${[...data.serving_periods].reverse().map((each) => html`<tr key=${each.epoch} class=${each.until ? "" : "now"}>
      <td class="number" data-name="Epoch">${each.epoch}</td><td data-name="From">${day(each.since)}</td><td data-name="To">${each.until ? day(each.until) : html`<strong>now</strong>`}</td>
      <td data-name="Champion">${each.champion ? html`<code>${each.champion}</code>` : html`<span class="muted">nobody</span>`}</td>
      <td data-name="Challenger">${each.challenger ? html`<${Icon} name=${stageGlyph(each.stage)} size=${13} /> <code>${each.challenger}</code> <span class="muted">${inStage(each.stage, each.share)}</span>` : html`<span class="muted">none</span>`}</td>
      <td data-name="By">${each.who}</td>
      <td class="because" data-name="Because">${each.cause_id ? html`<button type="button" class="link" onClick=${() => opening.event(each.cause_id)}>${each.because.split("; ")[0]}</button>` : each.because}${each.converged ? null : html` <span class="badge tone-warn">not seen to answer</span>`}</td></tr>`)}</tbody></table></div>`;
}

// Who answered, as a picture: champions above, challengers below. The table says the same in words.
function Strip({ serving_periods, now }) {
  const box = useRef(null);
  const width = useWidth(box, 900);
  const first = millis(serving_periods[0].since);
  const last = Math.max(millis(now), millis(serving_periods[serving_periods.length - 1].since) + 1);
  const x = (time) => Math.round(((time - first) / (last - first)) * (width - 2)) + 1;
  const spans = (pick) => merged(serving_periods.map((each) => ({ ...pick(each), from: x(millis(each.since)), to: each.until ? x(millis(each.until)) : x(last) })).filter((each) => each.name));
  const champions = spans((each) => ({ name: each.champion, stage: "champion" }));
  const challengers = spans((each) => ({ name: each.challenger, stage: each.stage }));
  return html`<div class="strip" ref=${box} aria-hidden="true"><svg width=${width} height="78" viewBox=${`0 0 ${width} 78`}>
    ${champions.map((each, n) => html`<${Span} span=${each} y=${2} kind=${`champion-${n % 2}`} text=${each.name} />`)}
    ${challengers.map((each) => html`<${Span} span=${each} y=${32} kind=${each.stage} text=${`${each.stage} ${each.name}`} />`)}
    ${champions.map((each, n) => (n && each.from - champions[n - 1].from < 60 ? null : html`<text class="tick" x=${each.from} y="74">${shortDay(first + ((each.from - 1) / (width - 2)) * (last - first))}</text>`))}
    <text class="tick" x=${width - 2} y="74" text-anchor="end">${shortDay(last)}</text></svg></div>`;
}

function merged(spans) {
  const found = [];
  for (const each of spans) {
    const before = found[found.length - 1];
    if (before && before.name === each.name && before.stage === each.stage && before.to === each.from) before.to = each.to;
    else found.push({ ...each });
  }
  return found;
}

function Span({ span, y, kind, text }) {
  const wide = Math.max(2, span.to - span.from - 1);
  const letters = Math.floor((wide - 12) / 6.8);
  const shown = letters >= text.length ? text : letters >= span.stage.length && kind === span.stage ? span.stage : "";
  return html`<rect class=${`span-${kind}`} x=${span.from} y=${y} width=${wide} height="26" rx="3" />
    ${shown ? html`<text class=${`span-name on-${kind}`} x=${span.from + 7} y=${y + 17}>${shown}</text>` : null}`;
}
