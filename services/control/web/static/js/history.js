// What was live when, for whom, and why; newest first.

import { html } from "../vendor/htm-preact.js";
import { useAnswer } from "./answer.js";
import { useOpening } from "./dialog.js";
import { Icon, stageGlyph } from "./glyphs.js";
import { day, inStage, kindOf } from "./words.js";

const CHANGES = new Set(["StageEntered", "RouteConverged"]);

export function History({ loop }) {
  const opening = useOpening();
  const { data } = useAnswer(`loops/${encodeURIComponent(loop)}/history`, (event) => event.loop === loop && CHANGES.has(kindOf(event)));
  if (!data) return html`<p class="muted">Asking…</p>`;
  if (!data.tenures.length) return html`<p class="muted">Nothing was live yet.</p>`;
  return html`<div class="scroll" tabindex="0" role="group" aria-label=${`What was live when in ${loop}`}><table class="history">
    <thead><tr><th scope="col" class="number">Epoch</th><th scope="col">From</th><th scope="col">To</th><th scope="col">Champion</th><th scope="col">Challenger</th><th scope="col">By</th><th scope="col">Because</th></tr></thead>
    <tbody>${[...data.tenures].reverse().map((each) => html`<tr key=${each.epoch} class=${each.until ? "" : "now"}>
      <td class="number" data-name="Epoch">${each.epoch}</td><td data-name="From">${day(each.since)}</td><td data-name="To">${each.until ? day(each.until) : html`<strong>now</strong>`}</td>
      <td data-name="Champion">${each.champion ? html`<code>${each.champion}</code>` : html`<span class="muted">nobody</span>`}</td>
      <td data-name="Challenger">${each.challenger ? html`<${Icon} name=${stageGlyph(each.stage)} size=${13} /> <code>${each.challenger}</code> <span class="muted">${inStage(each.stage, each.share)}</span>` : html`<span class="muted">none</span>`}</td>
      <td data-name="By">${each.who}</td>
      <td class="because" data-name="Because">${each.cause_id ? html`<button type="button" class="link" onClick=${() => opening.event(each.cause_id)}>${each.because.split("; ")[0]}</button>` : each.because}${each.converged ? null : html` <span class="badge tone-warn">not seen to answer</span>`}</td></tr>`)}</tbody></table></div>`;
}
