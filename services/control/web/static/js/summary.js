// Summary of a loop: champion, challenger with progress, last alarm, next step.

import { html } from "../components/vendor/htm-preact.js";
import { icon, isDanger, possible, verb } from "./command.js";
import { useOpening } from "./dialog.js";
import { Icon, stageGlyph } from "../components/glyphs.js";
import { Interval } from "../components/interval.js";
import { count, day, inStage, interval } from "../components/words.js";

function badges(loop) {
  const badges = [];
  if (loop.approval) badges.push(["wait", "warn", "waits for approval"]);
  for (const topic of loop.paused_topics) badges.push(["failed", "warn", `${topic} is not read`]);
  if (loop.paused) badges.push(["wait", "warn", "paused"]);
  if (!loop.event_time) badges.push(["other", "plain", "no events yet"]);
  else if (!loop.champion) badges.push(["other", "plain", "no champion yet"]);
  else if (loop.challenger) badges.push([stageGlyph(loop.stage), "accent", `judged in ${loop.stage}`]);
  else if (!loop.paused) badges.push(["champion", "good", "watched"]);
  if (loop.champion && loop.epoch > loop.converged_epoch) badges.push(["route", "warn", "route in progress"]);
  return badges;
}

export const Badges = ({ loop }) => html`<span class="badges">${badges(loop).map(([glyph, tone, text]) =>
  html`<span class=${`badge tone-${tone}`} key=${text}><${Icon} name=${glyph} size=${13} /> ${text}</span>`)}</span>`;

function Progress({ progress }) {
  const { blocks, step } = progress;
  if (!step) return html`<span>${count(blocks, "block")} judged</span>`;
  const goal = step.min_blocks === step.max_blocks ? `${step.max_blocks}` : `${step.min_blocks} to ${step.max_blocks}`;
  const part = Math.min(1, blocks / step.max_blocks);
  return html`<span class="progress"><svg viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label=${`${count(blocks, "block")} of ${goal}`}>
      <rect class="rail" width="100" height="8" rx="2" /><rect class="done" width=${part * 100} height="8" rx="2" />
      ${step.min_blocks < step.max_blocks ? html`<line class="least" x1=${(100 * step.min_blocks) / step.max_blocks} x2=${(100 * step.min_blocks) / step.max_blocks} y1="0" y2="8" />` : null}
    </svg><span>${count(blocks, "block")} of ${goal}</span></span>`;
}

function Challenger({ loop, progress }) {
  if (!loop.challenger) return html`<span class="muted">none</span>`;
  const verdict = progress?.verdict;
  return html`<div><code>${loop.challenger}</code> in ${inStage(loop.stage, loop.share)}</div>
    ${progress ? html`<${Progress} progress=${progress} />` : null}
    ${verdict?.estimate !== undefined ? html`<div class="stacked"><${Interval} verdict=${verdict} width=${210} named />
      <div>${verdict.outcome}: <span class="muted">${interval(verdict)}</span></div></div>` : null}`;
}

// Reasons to train that wait for the end of the open release; `next` names them in every other state.
function kept(loop) {
  const reasons = (loop.kept ?? []).map((reason) => `${reason.kind} of ${day(reason.since)}`);
  return reasons.length ? ` Kept until it is promoted or ends: ${reasons.join(", ")}.` : "";
}

function nextStep(loop) {
  if (!loop.event_time) return "Send events; `driftloop replay` sends recorded ones.";
  return loop.next.charAt(0).toUpperCase() + loop.next.slice(1);
}

// Text with `code`.
export const Words = ({ text }) => text.split("`").map((part, n) => (n % 2 ? html`<code>${part}</code>` : part));

export function Summary({ loop, progress }) {
  return html`<dl class="summary">
    <div><dt>Champion</dt><dd>${loop.champion ? html`<code>${loop.champion}</code> <span class="muted">since ${day(loop.champion_since)}</span>` : html`<span class="muted">none yet</span>`}</dd></div>
    <div><dt>Challenger</dt><dd><${Challenger} loop=${loop} progress=${progress} /></dd></div>
    <div><dt>Last alarm</dt><dd>${loop.last_alarm ? html`<${Icon} name="alarm" size=${14} /> ${loop.last_alarm} <span class="muted">on ${day(loop.last_alarm_time)}</span>` : html`<span class="muted">none so far</span>`}</dd></div>
    <div class=${loop.approval || loop.paused || loop.paused_topics.length || loop.breaker_open ? "next asks" : "next"}><dt>Next</dt><dd>${loop.approval && !loop.paused_topics.length
      ? html`<strong>Decide on ${loop.approval.release_id}</strong>, which waits to enter ${loop.approval.to_stage}; the policy decides after ${day(loop.approval.deadline)}.${kept(loop)}`
      : html`<${Words} text=${nextStep(loop)} />`}</dd></div>
    ${loop.notes?.length ? html`<div class="next asks"><dt>Note</dt><dd>${loop.notes.map((note) => html`<div>${note}</div>`)}</dd></div>` : null}
  </dl>`;
}

export function Actions({ loop }) {
  const opening = useOpening();
  const names = possible(loop);
  if (!names.length) return null;
  return html`<div class="actions" role="group" aria-label=${`Commands for ${loop.name}`}>${names.map((name) => html`<button type="button" key=${name}
    class=${name === "approve" || name === "resume" ? "primary" : isDanger(name) ? "danger-quiet" : ""} onClick=${() => opening.command(name, loop.name)}>
    <${Icon} name=${icon(name)} size=${15} /> ${verb(name)}</button>`)}</div>`;
}
