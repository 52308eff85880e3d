// The page: what is asked for in the address, over the state of all loops, with the connection's state above.

import { html, render, useEffect, useMemo, useRef, useState } from "../components/vendor/htm-preact.js";
import { useAnswer } from "./answer.js";
import { Chain } from "./chain.js";
import { CommandDialog } from "./command.js";
import { Opening } from "./dialog.js";
import { EventDialog } from "./event.js";
import { begin, useConnection } from "./live.js";
import { Loop } from "./loop.js";
import { Overview } from "./overview.js";

const NO_CHANGE = new Set(["LakeFlushed", "OfflineFlushed"]);

function place() {
  const [, kind = "", ...rest] = location.hash.split("/");
  return { kind, name: decodeURIComponent(rest.join("/")) };
}

function usePlace() {
  const [found, set] = useState(place);
  useEffect(() => {
    const moved = () => set(place());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return found;
}

const WORDS = { live: "live", connecting: "connecting", lost: "connection lost" };

function Connection() {
  const { state } = useConnection();
  return html`<p class=${`connection ${state}`} role="status"><span class="lamp" aria-hidden="true"></span>${WORDS[state]}</p>`;
}

function Lost() {
  const { state, since } = useConnection();
  if (state !== "lost") return null;
  return html`<p class="banner" role="alert">The connection to the control service is lost. What you see is from ${new Date(since).toLocaleTimeString("en-GB")}.
    It is tried again every second; nothing is missed.</p>`;
}

function Body({ at, state }) {
  if (at.kind === "loop") return html`<${Loop} key=${at.name} name=${at.name} state=${state} />`;
  if (at.kind === "chain") return html`<${Chain} key=${at.name} id=${at.name} />`;
  return html`<${Overview} state=${state} />`;
}

function Page() {
  const at = usePlace();
  const main = useRef(null);
  const first = useRef(true);
  const [dialog, setDialog] = useState(null);
  const { data, problem } = useAnswer("loops", (event) => !NO_CHANGE.has(event.kind));
  useEffect(() => { if (data) begin(data.position); }, [data !== null]);
  useEffect(() => {
    document.title = at.kind ? `${at.kind === "loop" ? at.name : "A chain"} · driftloop` : "driftloop";
    if (!first.current) {
      scrollTo(0, 0);
      main.current.querySelector("h1")?.focus();
    }
    first.current = false;
  }, [at.kind, at.name]);
  const opening = useMemo(() => ({
    event: (id) => setDialog({ event: id }),
    command: (name, loop) => setDialog({ command: name, loop }),
  }), []);
  const close = () => setDialog(null);
  const about = dialog?.command && data?.loops.find((each) => each.name === dialog.loop);
  return html`<${Opening.Provider} value=${opening}>
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); main.current.querySelector("h1")?.focus(); }}>To the content</a>
    <header class="bar"><a class="name" href="#/"><img src="/static/icon.svg" alt="" width="22" height="22" /> driftloop</a><${Connection} /></header>
    <${Lost} />
    <main id="main" ref=${main}>${data ? html`<${Body} at=${at} state=${data} />`
      : html`<h1 tabindex="-1">Loops</h1><p class=${problem ? "problem" : "muted"} role="status">${problem ? `${problem.message} It is asked again by itself.` : "Loading…"}</p>`}</main>
    ${dialog?.event ? html`<${EventDialog} key=${dialog.event} id=${dialog.event} onClose=${close} />` : null}
    ${about ? html`<${CommandDialog} key=${`${dialog.command} ${dialog.loop}`} name=${dialog.command} loop=${about} plan=${data.plans[dialog.loop]} onClose=${close} />` : null}
  </${Opening.Provider}>`;
}

render(html`<${Page} />`, document.getElementById("page"));
