// Lines over time as SVG with marks for events; readable by pointer, arrow keys and as a table.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact.js";
import { Glyph } from "./glyphs.js";
import { day, shortDay } from "./words.js";

const LEFT = 46, RIGHT = 14, TOP = 46, BOTTOM = 24, HEIGHT = 256, ROW = 16;

// Tracks the width of an element.
export function useWidth(ref, otherwise) {
  const [width, set] = useState(otherwise);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => set(Math.max(240, Math.floor(entry.contentRect.width))));
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, []);
  return width;
}

// Round numbers from 0 or below the lowest value to above the highest.
export function ticks(least, greatest, about = 4) {
  const span = greatest - least || Math.abs(greatest) || 1;
  const raw = span / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((factor) => factor >= raw * 0.999);
  const first = Math.floor(least / step + 1e-9), last = Math.ceil(greatest / step - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, n) => (first + n) * step);
}

// Times to label, without overlap.
function spread(times, x, apart) {
  const chosen = [];
  for (const time of times) if (!chosen.length || x(time) - x(chosen[chosen.length - 1]) >= apart) chosen.push(time);
  return chosen;
}

function path(points, x, y) {
  let pen = "M";
  return points.map((value, n) => {
    if (value.y === null) { pen = "M"; return ""; }
    const text = `${pen}${x(value.x).toFixed(1)} ${y(value.y).toFixed(1)}`;
    pen = "L";
    return text;
  }).join("");
}

// series: [{name, points: [{x: ms, y: number or null, note}]}], all over the same times. marks: [{x, glyph, text}].
// levels: [{y, text}]: horizontal lines.
export function Plot({ label, times, series, marks = [], levels = [], digits = 3, fromZero = false }) {
  const box = useRef(null);
  const width = useWidth(box, 640);
  const [at, setAt] = useState(null);
  const shown = at === null ? times.length - 1 : Math.min(at, times.length - 1);
  const values = [...series.flatMap((line) => line.points.map((point) => point.y)), ...levels.map((level) => level.y)];
  const known = values.filter((value) => value !== null);
  if (!times.length || !known.length) return html`<figure class="plot" ref=${box}><p class="muted">No data yet.</p></figure>`;
  const grid = ticks(fromZero ? 0 : Math.min(...known), Math.max(...known));
  const [first, last] = [times[0], times[times.length - 1]];
  const x = (time) => LEFT + ((time - first) / (last - first || 1)) * (width - LEFT - RIGHT);
  const y = (value) => TOP + ((grid[grid.length - 1] - value) / (grid[grid.length - 1] - grid[0])) * (HEIGHT - TOP - BOTTOM);
  const nearest = (left) => times.reduce((best, time, n) => (Math.abs(x(time) - left) < Math.abs(x(times[best]) - left) ? n : best), 0);
  const point = (event) => setAt(nearest(event.clientX - event.currentTarget.getBoundingClientRect().left));
  const keys = { ArrowLeft: -1, ArrowRight: 1, PageUp: -7, PageDown: 7, Home: -Infinity, End: Infinity };
  const press = (event) => {
    if (!(event.key in keys)) return;
    event.preventDefault();
    setAt(Math.min(times.length - 1, Math.max(0, shown + keys[event.key])));
  };
  const visible = marks.filter((mark) => mark.x >= first && mark.x <= last);
  const near = visible.filter((mark) => nearest(x(mark.x)) === shown);
  return html`<figure class="plot" ref=${box}>
    <${Legend} series=${series} shown=${shown} digits=${digits} />
    <div role="group" tabindex="0" aria-label=${`${label}. Arrow keys move from window to window.`} onKeyDown=${press}>
      <svg width=${width} height=${HEIGHT} viewBox=${`0 0 ${width} ${HEIGHT}`} aria-hidden="true"
          onPointerMove=${point} onPointerDown=${point} onPointerLeave=${() => setAt(null)}>
        ${grid.map((value) => html`<line class="grid" x1=${LEFT} x2=${width - RIGHT} y1=${y(value)} y2=${y(value)} />
          <text class="tick" x=${LEFT - 7} y=${y(value) + 4} text-anchor="end">${+value.toPrecision(6)}</text>`)}
        ${spread(times, x, 74).map((time) => html`<text class="tick" x=${Math.min(x(time), width - RIGHT - 14)} y=${HEIGHT - 6} text-anchor="middle">${shortDay(time)}</text>`)}
        ${levels.map((level) => html`<line class="level" x1=${LEFT} x2=${width - RIGHT} y1=${y(level.y)} y2=${y(level.y)} />`)}
        ${rows(visible, x).map((mark) => html`<line class="mark" x1=${x(mark.x)} x2=${x(mark.x)} y1=${TOP - 9 - ROW * mark.row} y2=${HEIGHT - BOTTOM} />
          <${Glyph} name=${mark.glyph} x=${x(mark.x)} y=${TOP - 17 - ROW * mark.row} r=${6} />`)}
        <line class="cursor" x1=${x(times[shown])} x2=${x(times[shown])} y1=${TOP - 9} y2=${HEIGHT - BOTTOM} />
        ${series.map((line, n) => html`<path class=${`line line-${n % 6}`} d=${path(line.points, x, y)} />
          ${isolated(line.points).map((one) => html`<circle class=${`dot dot-${n % 6}`} cx=${x(one.x)} cy=${y(one.y)} r="2.5" />`)}
          ${line.points[shown]?.y != null ? html`<circle class=${`dot dot-${n % 6}`} cx=${x(times[shown])} cy=${y(line.points[shown].y)} r="4" />` : null}`)}
        ${levels.map((level, n) => html`<text class="tick above" x=${n % 2 ? width - RIGHT - 5 : LEFT + 5} text-anchor=${n % 2 ? "end" : "start"} y=${y(level.y) - 6}>${level.text}</text>`)}
      </svg>
      <output class="readout" aria-live=${at === null ? "off" : "polite"}>
        <strong>${day(times[shown])}</strong>
        ${series.map((line) => (line.points[shown]?.y != null ? html`<span> · ${line.name} ${line.points[shown].y.toFixed(digits)}${line.points[shown].note ? ` (${line.points[shown].note})` : ""}</span>` : null))}
        ${near.map((mark) => html`<span> · ${mark.text}</span>`)}
      </output>
    </div>
    <${Table} label=${label} times=${times} series=${series} digits=${digits} />
  </figure>`;
}

// Marks in rows above the lines, without overlap.
function rows(marks, x) {
  const ends = [];
  return marks.map((mark) => {
    let row = ends.findIndex((end) => x(mark.x) - end >= ROW);
    if (row < 0) row = ends.length < 2 ? ends.length : 0;
    ends[row] = x(mark.x);
    return { ...mark, row };
  });
}

// Points without neighbours, which a line cannot show.
const isolated = (points) =>
  points.filter((point, n) => point.y !== null && points[n - 1]?.y == null && points[n + 1]?.y == null);

function Legend({ series }) {
  return html`<ul class="legend">${series.map((line, n) => html`<li key=${line.name}>
    <svg width="26" height="10" aria-hidden="true"><path class=${`line line-${n % 6}`} d="M1 5 H25" /></svg><span>${line.name}</span></li>`)}</ul>`;
}

function Table({ label, times, series, digits }) {
  const [open, set] = useState(false);
  return html`<details class="numbers" onToggle=${(event) => set(event.currentTarget.open)}>
    <summary>As a table</summary>
    ${open ? html`<div class="scroll" tabindex="0" role="group" aria-label=${label}><table>
      <thead><tr><th scope="col">Window ends</th>${series.map((line) => html`<th scope="col" class="number">${line.name}</th>`)}</tr></thead>
      <tbody>${times.map((time, n) => html`<tr><td>${day(time)}</td>${series.map((line) => html`<td class="number">${line.points[n].y?.toFixed(digits) ?? "–"}</td>`)}</tr>`).reverse()}</tbody>
    </table></div>` : null}
  </details>`;
}
