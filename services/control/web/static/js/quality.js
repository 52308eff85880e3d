// How good each release was, window by window, with alarms and stages.

import { html } from "../components/vendor/htm-preact.js";
import { useAnswer } from "./answer.js";
import { stageGlyph } from "../components/glyphs.js";
import { Plot } from "../components/plot.js";
import { count, millis } from "../components/words.js";

const TOLD = new Set(["shadow", "canary", "champion", "rejected", "rolled-back"]);

function lines(windows) {
  const names = [...new Set(windows.flatMap((each) => each.releases.map((release) => release.release_id)))];
  return names.map((name) => ({
    name,
    points: windows.map((window) => {
      const row = window.releases.find((each) => each.release_id === name);
      const rows = row ? Number(row.count) : 0;
      return { x: millis(window.end), y: rows ? row.loss : null, note: count(rows, "outcome") };
    }),
  })).filter((each) => each.points.some((point) => point.y !== null));
}

export function marks(releases, events) {
  const stages = releases.flatMap((release) => release.stages.filter((each) => TOLD.has(each.stage))
    .map((each) => ({ x: millis(each.since), glyph: stageGlyph(each.stage), text: `${release.release_id} ${each.stage}` })));
  const alarms = events.filter((each) => each.kind === "DriftDetected")
    .map((each) => ({ x: millis(each.time), glyph: each.glyph, text: each.line }));
  return [...stages, ...alarms].sort((a, b) => a.x - b.x);
}

export function Quality({ loop, releases, events, plan }) {
  const { data } = useAnswer(`loops/${encodeURIComponent(loop)}/windows?newest=90&input=`, (event) => event.loop === loop && event.kind === "WindowClosed");
  if (!data) return html`<p class="muted">Loading…</p>`;
  const series = lines(data.windows);
  if (!series.length) return html`<p class="muted">No window has outcomes of a release yet.</p>`;
  const from = data.windows.findIndex((each) => each.releases.some((release) => Number(release.count)));
  const windows = data.windows.slice(from);
  const cut = series.map((each) => ({ ...each, points: each.points.slice(from) }));
  return html`<p class="muted">Mean ${plan?.loss ?? "loss"} of the outcomes in each window; lower is better.</p>
    <${Plot} label=${`Loss of ${loop} by window`} times=${windows.map((each) => millis(each.end))} series=${cut} marks=${marks(releases, events)} />`;
}
