// A chain of events as a picture: time to the right, a lane for each service, a line from each cause to its effect.

import { html, useRef, useState } from "./vendor/htm-preact.js";
import { Glyph } from "./glyphs.js";
import { useWidth } from "./plot.js";
import { day, shortDay } from "./words.js";

const LANES = [
  ["control", "users"], ["monitoring", "monitoring"], ["training", "training"], ["evaluation", "evaluation"],
  ["registry", "registry"], ["serving", "serving"], ["ingestion", "ingestion"], ["features", "features"],
];
const HEAD = 88, LANE = 62, TOP = 34, NARROWEST = 52, WIDEST = 100, NARROW = 22, LETTERS = 13;

const domain = (event) => event.type.split(".")[1];
const isSmall = (event) => !event.label;

const short = (text) => (text.length > LETTERS ? `${text.slice(0, LETTERS - 1)}…` : text);

// As wide as the space allows, within limits for the labels.
function layout(events, room) {
  const small = events.filter(isSmall).length;
  const fits = (room - HEAD - 12 - small * NARROW) / Math.max(1, events.length - small);
  const wide = Math.min(WIDEST, Math.max(NARROWEST, fits));
  const lanes = LANES.filter(([name]) => events.some((event) => domain(event) === name));
  let x = HEAD;
  const nodes = events.map((event) => {
    const half = (isSmall(event) ? NARROW : wide) / 2;
    const lane = Math.max(0, lanes.findIndex(([name]) => name === domain(event)));
    x += half;
    const node = { event, x, y: TOP + (lane + 0.5) * LANE - 9, half, text: event.label, more: event.sublabel };
    x += half;
    return node;
  });
  return { lanes, nodes, width: x + 12, height: TOP + lanes.length * LANE + 6 };
}

function curve(from, to) {
  const middle = (from.x + to.x) / 2;
  return `M${from.x} ${from.y} C${middle} ${from.y} ${middle} ${to.y} ${to.x - 9} ${to.y}`;
}

// Dates at changes of event time, without overlap.
function dates(nodes) {
  const labels = [];
  for (const node of nodes) {
    const text = shortDay(node.event.time);
    if (!labels.length || (text !== labels[labels.length - 1].text && node.x - labels[labels.length - 1].x > 58)) labels.push({ x: node.x, text });
  }
  return labels;
}

// A report's events list all their causes; the control API's events name one.
const causes = (event) => event.causes ?? [event.causation_id];

// events: [{id, type, time, line, glyph, label, sublabel, causation_id or causes}]. onOpen, if set, gets an event's id.
export function Picture({ events, onOpen = () => {} }) {
  const box = useRef(null);
  const wide = useWidth(box, 640);
  const [at, setAt] = useState(0);
  const { lanes, nodes, width, height } = layout(events, wide);
  const positions = new Map(nodes.map((node) => [node.event.id, node]));
  const current = Math.min(at, nodes.length - 1);
  const go = (event) => {
    const next = { ArrowRight: current + 1, ArrowLeft: current - 1, Home: 0, End: nodes.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const to = Math.min(nodes.length - 1, Math.max(0, next));
    setAt(to);
    box.current.querySelectorAll("[data-node]")[to].focus();
  };
  const act = (event, node) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    onOpen(node.event.id);
  };
  return html`<div class="picture scroll" ref=${box} onKeyDown=${go}>
    <svg width=${Math.max(width, wide)} height=${height} role="group" aria-label="The chain as a picture. Arrow keys move from event to event, Enter opens one.">
      ${lanes.map(([, text], n) => html`<rect class=${n % 2 ? "lane odd" : "lane"} x="0" y=${TOP + n * LANE} width="100%" height=${LANE} />
        <text class="lane-name" x="10" y=${TOP + (n + 0.5) * LANE + 4}>${text}</text>`)}
      ${dates(nodes).map((date) => html`<text class="tick" x=${date.x} y="20" text-anchor="middle">${date.text}</text>
        <line class="grid" x1=${date.x} x2=${date.x} y1="26" y2=${TOP} />`)}
      ${nodes.flatMap((node) => causes(node.event).filter((id) => positions.has(id)).map((id) =>
        html`<path class=${node.text ? "edge" : "edge faint"} d=${curve(positions.get(id), node)} />`))}
      ${nodes.map((node, n) => html`<g key=${node.event.id} class="node" data-node role="button" tabindex=${n === current ? 0 : -1}
          aria-label=${`${[short(node.text), node.more].filter(Boolean).join(" ")} (${n + 1} of ${nodes.length}), ${day(node.event.time)}: ${node.event.line}`}
          onClick=${() => { setAt(n); onOpen(node.event.id); }} onKeyDown=${(event) => act(event, node)} onFocus=${() => setAt(n)}>
        <title>${node.event.line}</title>
        <rect class="touch" x=${node.x - node.half} y=${node.y - 17} width=${2 * node.half} height="52" rx="6" />
        <${Glyph} name=${node.event.glyph} x=${node.x} y=${node.y} r=${node.text ? 8 : 6} />
        ${node.text ? html`<text class="node-name" x=${node.x} y=${node.y + 21} text-anchor="middle">${short(node.text)}</text>` : null}
        ${" "}${node.more ? html`<text class="node-name more" x=${node.x} y=${node.y + 33} text-anchor="middle">${node.more}</text>` : null}
      </g>`)}
    </svg>
  </div>`;
}
