// An interval drawn against zero and the policy's margin.

import { html } from "./vendor/htm-preact.js";
import { tone as toneOf } from "./glyphs.js";
import { interval } from "./words.js";

// Half the width of a common scale for several intervals.
export function reach(verdicts) {
  const ends = verdicts.flatMap((verdict) => (verdict.estimate === undefined ? [] : [verdict.lower, verdict.upper, verdict.margin]));
  return Math.max(1e-6, ...ends.map(Math.abs)) * 1.08;
}

export function Interval({ verdict, scale = reach([verdict]), width = 220, named = false }) {
  if (verdict.estimate === undefined) return html`<span class="muted">no interval yet</span>`;
  const x = (value) => Math.round((0.5 + (0.5 * value) / scale) * width * 10) / 10;
  const tone = toneOf(verdict.glyph);
  const margin = verdict.margin ? `, margin ${verdict.margin}` : "";
  return html`<svg class=${`interval tone-${tone}`} width=${width} height=${named ? 38 : 26} viewBox=${`0 0 ${width} ${named ? 38 : 26}`} role="img"
      aria-label=${`gain ${interval(verdict)}: ${verdict.outcome}${margin}`}>
    <line class="base" x1="0" x2=${width} y1="13" y2="13" />
    <line class="zero" x1=${x(0)} x2=${x(0)} y1="1" y2="25" />
    ${verdict.margin ? html`<path class="margin" d=${`M${x(verdict.margin)} 4 V22`} />` : null}
    <line class="span" x1=${x(verdict.lower)} x2=${x(verdict.upper)} y1="13" y2="13" />
    <path class="ends" d=${`M${x(verdict.lower)} 8 V18 M${x(verdict.upper)} 8 V18`} />
    <circle class="estimate" cx=${x(verdict.estimate)} cy="13" r="4" />
    ${named ? html`<text class="tick" x="0" y="36">worse</text><text class="tick" x=${x(0)} y="36" text-anchor="middle">0</text>
      <text class="tick" x=${width} y="36" text-anchor="end">better</text>` : null}
  </svg>`;
}
