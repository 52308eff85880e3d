// Symbols for kinds of events; shapes differ, so that colour is never the only difference.

import { html } from "./vendor/htm-preact.js";

const SHAPES = {
  alarm: (r) => html`<path d=${`M0 ${-r} L${r} ${r * 0.8} L${-r} ${r * 0.8} Z`} class="fill" />`,
  shadow: (r) => html`<circle r=${r * 0.85} class="hollow" />`,
  canary: (r) => html`<circle r=${r * 0.85} class="hollow" /><path d=${`M0 ${-r * 0.85} A${r * 0.85} ${r * 0.85} 0 0 1 0 ${r * 0.85} Z`} class="fill" />`,
  champion: (r) => html`<circle r=${r * 0.9} class="fill" />`,
  ended: (r) => html`<path d=${`M${-r * 0.7} ${-r * 0.7} L${r * 0.7} ${r * 0.7} M${r * 0.7} ${-r * 0.7} L${-r * 0.7} ${r * 0.7}`} class="stroke" />`,
  back: (r) => html`<path d=${`M${r} 0 H${-r * 0.8} M${-r * 0.2} ${-r * 0.7} L${-r} 0 L${-r * 0.2} ${r * 0.7}`} class="stroke" />`,
  better: (r) => html`<path d=${`M0 ${-r} L${r} 0 L0 ${r} L${-r} 0 Z`} class="fill" />`,
  worse: (r) => html`<path d=${`M0 ${-r} L${r} 0 L0 ${r} L${-r} 0 Z`} class="hollow" /><path d=${`M${-r * 0.45} 0 H${r * 0.45}`} class="stroke" />`,
  unknown: (r) => html`<path d=${`M0 ${-r * 0.7} L${r * 0.7} 0 L0 ${r * 0.7} L${-r * 0.7} 0 Z`} class="hollow" />`,
  run: (r) => html`<rect x=${-r * 0.85} y=${-r * 0.85} width=${r * 1.7} height=${r * 1.7} rx=${r * 0.35} class="hollow" />`,
  trained: (r) => html`<rect x=${-r * 0.85} y=${-r * 0.85} width=${r * 1.7} height=${r * 1.7} rx=${r * 0.35} class="fill" />`,
  failed: (r) => html`<rect x=${-r * 0.85} y=${-r * 0.85} width=${r * 1.7} height=${r * 1.7} rx=${r * 0.35} class="hollow" /><path d=${`M${-r * 0.4} ${-r * 0.4} L${r * 0.4} ${r * 0.4} M${r * 0.4} ${-r * 0.4} L${-r * 0.4} ${r * 0.4}`} class="stroke" />`,
  route: (r) => html`<path d=${`M${-r * 0.8} ${-r * 0.6} L0 0 L${-r * 0.8} ${r * 0.6} M0 ${-r * 0.6} L${r * 0.8} 0 L0 ${r * 0.6}`} class="stroke" />`,
  person: (r) => html`<circle cy=${-r * 0.4} r=${r * 0.45} class="fill" /><path d=${`M${-r * 0.85} ${r * 0.9} A${r * 0.85} ${r * 0.9} 0 0 1 ${r * 0.85} ${r * 0.9} Z`} class="fill" />`,
  wait: (r) => html`<circle r=${r * 0.85} class="hollow" /><path d=${`M0 ${-r * 0.5} V0 H${r * 0.4}`} class="stroke" />`,
  asked: (r) => html`<path d=${`M${-r * 0.7} ${-r * 0.8} L${r * 0.8} 0 L${-r * 0.7} ${r * 0.8} Z`} class="hollow" />`,
  release: (r) => html`<path d=${`M0 ${-r} L${r * 0.87} ${-r * 0.5} V${r * 0.5} L0 ${r} L${-r * 0.87} ${r * 0.5} V${-r * 0.5} Z`} class="hollow" />`,
  other: (r) => html`<circle r=${r * 0.45} class="fill" />`,
};

const STAGES = { retired: "other", shadow: "shadow", canary: "canary", champion: "champion", "rolled-back": "back" };
const TONES = {
  alarm: "warn", champion: "good", better: "good", worse: "bad", ended: "bad", back: "bad", failed: "bad", wait: "warn",
  person: "accent",
};

export const stageGlyph = (stage) => STAGES[stage] ?? "ended";

export const tone = (glyph) => TONES[glyph] ?? "plain";

export function Glyph({ name, x = 0, y = 0, r = 7 }) {
  return html`<g class=${`glyph tone-${tone(name)}`} transform=${`translate(${x} ${y})`}>${(SHAPES[name] ?? SHAPES.other)(r)}</g>`;
}

export function Icon({ name, size = 16 }) {
  return html`<svg class="icon" width=${size} height=${size} viewBox="-10 -10 20 20" aria-hidden="true"><${Glyph} name=${name} r=${8} /></svg>`;
}
