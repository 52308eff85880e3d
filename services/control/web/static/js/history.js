// Which releases were live when, and why; newest first.

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
    <tbody>${[...data.serving_periods].reverse().map((period) => html`<tr key=${period.epoch} class=${period.until ? "" : "now"}>
      <td class="number" data-name="Epoch">${period.epoch}</td><td data-name="From">${day(period.since)}</td><td data-name="To">${period.until ? day(period.until) : html`<strong>now</strong>`}</td>
      <td data-name="Champion">${period.champion ? html`<code>${period.champion}</code>` : html`<span class="muted">none</span>`}</td>
      <td data-name="Challenger">${period.challenger ? html`<${Icon} name=${stageGlyph(period.stage)} size=${13} /> <code>${period.challenger}</code> <span class="muted">${inStage(period.stage, period.share)}</span>` : html`<span class="muted">none</span>`}</td>
      <td data-name="By">${period.who}</td>
      <td class="because" data-name="Because">${period.cause_id ? html`<button type="button" class="link" onClick=${() => opening.event(period.cause_id)}>${period.because.split("; ")[0]}</button>` : period.because}${period.converged ? null : html` <span class="badge tone-warn">never answered</span>`}</td></tr>`)}</tbody></table></div>`;
}

// Live releases over time: champions above, challengers below. The table has the same content.
function Strip({ serving_periods, now }) {
  const box = useRef(null);
  const width = useWidth(box, 900);
  const first = millis(serving_periods[0].since);
  const last = Math.max(millis(now), millis(serving_periods[serving_periods.length - 1].since) + 1);
  const x = (time) => Math.round(((time - first) / (last - first)) * (width - 2)) + 1;
  const spans = (pick) => mergeSpans(serving_periods.map((period) => ({ ...pick(period), from: x(millis(period.since)), to: period.until ? x(millis(period.until)) : x(last) })).filter((period) => period.name));
  const champions = spans((period) => ({ name: period.champion, stage: "champion" }));
  const challengers = spans((period) => ({ name: period.challenger, stage: period.stage }));
  return html`<div class="strip" ref=${box} aria-hidden="true"><svg width=${width} height="78" viewBox=${`0 0 ${width} 78`}>
    ${champions.map((span, n) => html`<${Span} span=${span} y=${2} kind=${`champion-${n % 2}`} text=${span.name} />`)}
    ${challengers.map((span) => html`<${Span} span=${span} y=${32} kind=${span.stage} text=${`${span.stage} ${span.name}`} />`)}
    ${champions.map((span, n) => (n && span.from - champions[n - 1].from < 60 ? null : html`<text class="tick" x=${span.from} y="74">${shortDay(first + ((span.from - 1) / (width - 2)) * (last - first))}</text>`))}
    <text class="tick" x=${width - 2} y="74" text-anchor="end">${shortDay(last)}</text></svg></div>`;
}

function mergeSpans(spans) {
  const result = [];
  for (const span of spans) {
    const before = result[result.length - 1];
    if (before && before.name === span.name && before.stage === span.stage && before.to === span.from) before.to = span.to;
    else result.push({ ...span });
  }
  return result;
}

function Span({ span, y, kind, text }) {
  const wide = Math.max(2, span.to - span.from - 1);
  const letters = Math.floor((wide - 12) / 6.8);
  const shown = letters >= text.length ? text : letters >= span.stage.length && kind === span.stage ? span.stage : "";
  return html`<rect class=${`span-${kind}`} x=${span.from} y=${y} width=${wide} height="26" rx="3" />
    ${shown ? html`<text class=${`span-name on-${kind}`} x=${span.from + 7} y=${y + 17}>${shown}</text>` : null}`;
}
