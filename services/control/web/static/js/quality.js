// Loss of each release by window, with alarms and stages.

import { html } from "../components/vendor/htm-preact.js";
import { useAnswer } from "./answer.js";
import { stageGlyph } from "../components/glyphs.js";
import { Plot } from "../components/plot.js";
import { count, millis } from "../components/words.js";

const SHOWN = new Set(["shadow", "canary", "champion", "rejected", "rolled-back"]);

function lines(windows) {
  const names = [...new Set(windows.flatMap((window) => window.releases.map((release) => release.release_id)))];
  return names.map((name) => ({
    name,
    points: windows.map((window) => {
      const row = window.releases.find((release) => release.release_id === name);
      const rows = row ? Number(row.count) : 0;
      return { x: millis(window.end), y: rows ? row.loss : null, note: count(rows, "outcome") };
    }),
  })).filter((line) => line.points.some((point) => point.y !== null));
}

export function marks(releases, events) {
  const stages = releases.flatMap((release) => release.stages.filter((stage) => SHOWN.has(stage.stage))
    .map((stage) => ({ x: millis(stage.since), glyph: stageGlyph(stage.stage), text: `${release.release_id} ${stage.stage}` })));
  const alarms = events.filter((event) => event.kind === "DriftDetected")
    .map((event) => ({ x: millis(event.time), glyph: event.glyph, text: event.line }));
  return [...stages, ...alarms].sort((a, b) => a.x - b.x);
}

export function Quality({ loop, releases, events, plan }) {
  const { data } = useAnswer(`loops/${encodeURIComponent(loop)}/windows?newest=90&input=`, (event) => event.loop === loop && event.kind === "WindowClosed");
  if (!data) return html`<p class="muted">Loading…</p>`;
  const series = lines(data.windows);
  if (!series.length) return html`<p class="muted">No window has outcomes of a release yet.</p>`;
  const from = data.windows.findIndex((window) => window.releases.some((release) => Number(release.count)));
  const windows = data.windows.slice(from);
  const cut = series.map((line) => ({ ...line, points: line.points.slice(from) }));
  return html`<p class="muted">Mean ${plan?.loss ?? "loss"} of the outcomes in each window; lower is better.</p>
    <${Plot} label=${`Loss of ${loop} by window`} times=${windows.map((window) => millis(window.end))} series=${cut} marks=${marks(releases, events)} />`;
}
