// Lines over time as SVG, with marks of what happened; moved through by pointer or arrow keys, and there as a table.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact.js";
import { Glyph } from "./glyphs.js";
import { day, shortDay } from "./words.js";

const LEFT = 46, RIGHT = 14, TOP = 46, BOTTOM = 24, HEIGHT = 256, ROW = 16;

// The width of an element, as it changes.
export function useWidth(ref, otherwise) {
  const [width, set] = useState(otherwise);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => set(Math.max(240, Math.floor(entry.contentRect.width))));
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, []);
  return width;
}

// Round numbers from 0 or below the least value to above the greatest.
export function ticks(least, greatest, about = 4) {
  const span = greatest - least || Math.abs(greatest) || 1;
  const raw = span / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= raw * 0.999);
  const first = Math.floor(least / step + 1e-9), last = Math.ceil(greatest / step - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, n) => (first + n) * step);
}

// Times to label so that none stands upon another.
function spread(times, x, apart) {
  const found = [];
  for (const time of times) if (!found.length || x(time) - x(found[found.length - 1]) >= apart) found.push(time);
  return found;
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
  const values = [...series.flatMap((each) => each.points.map((point) => point.y)), ...levels.map((each) => each.y)];
  const known = values.filter((each) => each !== null);
  if (!times.length || !known.length) return html`<figure class="plot" ref=${box}><p class="muted">Nothing to draw yet.</p></figure>`;
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
  const visible = marks.filter((each) => each.x >= first && each.x <= last);
  const near = visible.filter((each) => nearest(x(each.x)) === shown);
  return html`<figure class="plot" ref=${box}>
    <${Legend} series=${series} shown=${shown} digits=${digits} />
    <div role="group" tabindex="0" aria-label=${`${label}. Arrow keys move from window to window.`} onKeyDown=${press}>
      <svg width=${width} height=${HEIGHT} viewBox=${`0 0 ${width} ${HEIGHT}`} aria-hidden="true"
          onPointerMove=${point} onPointerDown=${point} onPointerLeave=${() => setAt(null)}>
        ${grid.map((value) => html`<line class="grid" x1=${LEFT} x2=${width - RIGHT} y1=${y(value)} y2=${y(value)} />
          <text class="tick" x=${LEFT - 7} y=${y(value) + 4} text-anchor="end">${+value.toPrecision(6)}</text>`)}
        ${spread(times, x, 74).map((time) => html`<text class="tick" x=${Math.min(x(time), width - RIGHT - 14)} y=${HEIGHT - 6} text-anchor="middle">${shortDay(time)}</text>`)}
        ${levels.map((each) => html`<line class="level" x1=${LEFT} x2=${width - RIGHT} y1=${y(each.y)} y2=${y(each.y)} />`)}
        ${rows(visible, x).map((each) => html`<line class="mark" x1=${x(each.x)} x2=${x(each.x)} y1=${TOP - 9 - ROW * each.row} y2=${HEIGHT - BOTTOM} />
          <${Glyph} name=${each.glyph} x=${x(each.x)} y=${TOP - 17 - ROW * each.row} r=${6} />`)}
        <line class="cursor" x1=${x(times[shown])} x2=${x(times[shown])} y1=${TOP - 9} y2=${HEIGHT - BOTTOM} />
        ${series.map((each, n) => html`<path class=${`line line-${n % 6}`} d=${path(each.points, x, y)} />
          ${lonely(each.points).map((one) => html`<circle class=${`dot dot-${n % 6}`} cx=${x(one.x)} cy=${y(one.y)} r="2.5" />`)}
          ${each.points[shown]?.y != null ? html`<circle class=${`dot dot-${n % 6}`} cx=${x(times[shown])} cy=${y(each.points[shown].y)} r="4" />` : null}`)}
        ${levels.map((each, n) => html`<text class="tick above" x=${n % 2 ? width - RIGHT - 5 : LEFT + 5} text-anchor=${n % 2 ? "end" : "start"} y=${y(each.y) - 6}>${each.text}</text>`)}
      </svg>
      <output class="readout" aria-live=${at === null ? "off" : "polite"}>
        <strong>${day(times[shown])}</strong>
        ${series.map((each) => (each.points[shown]?.y != null ? html`<span> · ${each.name} ${each.points[shown].y.toFixed(digits)}${each.points[shown].note ? ` (${each.points[shown].note})` : ""}</span>` : null))}
        ${near.map((each) => html`<span> · ${each.text}</span>`)}
      </output>
    </div>
    <${Table} label=${label} times=${times} series=${series} digits=${digits} />
  </figure>`;
}

// Marks in rows above the lines, so that none hides another.
function rows(marks, x) {
  const ends = [];
  return marks.map((each) => {
    let row = ends.findIndex((end) => x(each.x) - end >= ROW);
    if (row < 0) row = ends.length < 2 ? ends.length : 0;
    ends[row] = x(each.x);
    return { ...each, row };
  });
}

// Points with no neighbour, which no line shows.
const lonely = (points) =>
  points.filter((each, n) => each.y !== null && points[n - 1]?.y == null && points[n + 1]?.y == null);

function Legend({ series }) {
  return html`<ul class="legend">${series.map((each, n) => html`<li key=${each.name}>
    <svg width="26" height="10" aria-hidden="true"><path class=${`line line-${n % 6}`} d="M1 5 H25" /></svg><span>${each.name}</span></li>`)}</ul>`;
}

function Table({ label, times, series, digits }) {
  const [open, set] = useState(false);
  return html`<details class="numbers" onToggle=${(event) => set(event.currentTarget.open)}>
    <summary>As a table</summary>
    ${open ? html`<div class="scroll" tabindex="0" role="group" aria-label=${label}><table>
      <thead><tr><th scope="col">Window ends</th>${series.map((each) => html`<th scope="col" class="number">${each.name}</th>`)}</tr></thead>
      <tbody>${times.map((time, n) => html`<tr><td>${day(time)}</td>${series.map((each) => html`<td class="number">${each.points[n].y?.toFixed(digits) ?? "–"}</td>`)}</tr>`).reverse()}</tbody>
    </table></div>` : null}
  </details>`;
}
