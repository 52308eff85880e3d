// All loops, with recent events.

import { html } from "../components/vendor/htm-preact.js";
import { News } from "./news.js";
import { Actions, Badges, Summary } from "./summary.js";

export function Overview({ state }) {
  if (!state.loops.length) {
    return html`<h1 tabindex="-1">Loops</h1><section class="panel empty"><h2>There are no loops yet</h2>
      <p>A loop is a question that a model answers, with the events that the model learns from. <code>driftloop init</code> creates one, and
        <code>driftloop up</code> starts it. It appears here when control has started with it.</p></section>`;
  }
  return html`<h1 tabindex="-1">Loops</h1>
    <div class="overview"><div class="cards">${state.loops.map((loop) => html`<section class="panel card" key=${loop.name} aria-labelledby=${`loop-${loop.name}`}>
      <header><h2 id=${`loop-${loop.name}`}><a href=${`#/loop/${encodeURIComponent(loop.name)}`}>${loop.name}</a></h2><${Badges} loop=${loop} /></header>
      ${loop.description ? html`<p class="question">${loop.description}</p>` : null}
      <${Summary} loop=${loop} progress=${state.progress[loop.name]} />
      <${Actions} loop=${loop} />
    </section>`)}</div>
    <section class="panel happened" aria-labelledby="happened"><h2 id="happened">Events</h2><${News} newest=${14} withLoop /></section></div>`;
}
