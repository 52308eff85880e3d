// Loss of each release by window, with alarms and stages.

import { html } from "../components/vendor/htm-preact.js";
import { useAnswer } from "./answer.js";
import { stageGlyph } from "../components/glyphs.js";
import { Plot } from "../components/plot.js";
import { count, millis } from "../components/words.js";

const SHOWN = new Set(["shadow", "canary", "champion", "rejected", "rolled-back"]);

// A window with a smaller share of the release's median outcomes is not drawn: a mean of few is noise.
const LEAST_SHARE = 0.1;

function median(values) {
  const sorted = values.filter((value) => value).sort((a, b) => a - b);
  return sorted.length ? sorted[Math.floor(sorted.length / 2)] : 0;
}

function lines(windows) {
  const names = [...new Set(windows.flatMap((window) => window.releases.map((release) => release.release_id)))];
  return names.map((name) => {
    const found = windows.map((window) => window.releases.find((release) => release.release_id === name));
    const counts = found.map((row) => (row ? Number(row.count) : 0));
    const least = Math.max(1, LEAST_SHARE * median(counts));
    return {
      name,
      points: windows.map((window, n) => ({ x: millis(window.end), y: counts[n] >= least ? found[n].loss : null, note: count(counts[n], "outcome") })),
    };
  }).filter((line) => line.points.some((point) => point.y !== null));
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
  return html`<p class="muted">Mean ${plan?.loss ?? "loss"} of the outcomes in each window; lower is better. A window with less than a tenth of the usual outcomes is not drawn.</p>
    <${Plot} label=${`Loss of ${loop} by window`} times=${windows.map((window) => millis(window.end))} series=${cut} marks=${marks(releases, events)} />`;
}
