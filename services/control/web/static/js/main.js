// The page: shows the view in the address, with the connection's state above.

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

function view() {
  const [, kind = "", ...rest] = location.hash.split("/");
  return { kind, name: decodeURIComponent(rest.join("/")) };
}

function useView() {
  const [current, set] = useState(view);
  useEffect(() => {
    const moved = () => set(view());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return current;
}

const LABELS = { live: "live", connecting: "connecting", lost: "connection lost" };

function Connection() {
  const { state } = useConnection();
  return html`<p class=${`connection ${state}`} role="status"><span class="lamp" aria-hidden="true"></span>${LABELS[state]}</p>`;
}

function Lost() {
  const { state, since } = useConnection();
  if (state !== "lost") return null;
  return html`<p class="banner" role="alert">The connection to the control service is lost. What you see is from ${new Date(since).toLocaleTimeString("en-GB")}.
    The page reconnects every second and then shows all missed events.</p>`;
}

function Body({ at, state }) {
  if (at.kind === "loop") return html`<${Loop} key=${at.name} name=${at.name} state=${state} />`;
  if (at.kind === "chain") return html`<${Chain} key=${at.name} id=${at.name} />`;
  return html`<${Overview} state=${state} />`;
}

function Page() {
  const at = useView();
  const main = useRef(null);
  const first = useRef(true);
  const [dialog, setDialog] = useState(null);
  const { data, problem } = useAnswer("loops", (event) => !NO_CHANGE.has(event.kind));
  useEffect(() => { if (data) begin(data.position); }, [data !== null]);
  useEffect(() => {
    document.title = at.kind ? `${at.kind === "loop" ? at.name : "Chain"} · driftloop` : "driftloop";
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
  const about = dialog?.command && data?.loops.find((loop) => loop.name === dialog.loop);
  return html`<${Opening.Provider} value=${opening}>
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); main.current.querySelector("h1")?.focus(); }}>To the content</a>
    <header class="bar"><a class="name" href="#/"><img src="/static/icon.svg" alt="" width="22" height="22" /> driftloop</a><${Connection} /></header>
    <${Lost} />
    <main id="main" ref=${main}>${data ? html`<${Body} at=${at} state=${data} />`
      : html`<h1 tabindex="-1">Loops</h1><p class=${problem ? "problem" : "muted"} role="status">${problem ? `${problem.message} The page tries again.` : "Loading…"}</p>`}</main>
    ${dialog?.event ? html`<${EventDialog} key=${dialog.event} id=${dialog.event} onClose=${close} />` : null}
    ${about ? html`<${CommandDialog} key=${`${dialog.command} ${dialog.loop}`} name=${dialog.command} loop=${about} plan=${data.plans[dialog.loop]} onClose=${close} />` : null}
  </${Opening.Provider}>`;
}

render(html`<${Page} />`, document.getElementById("page"));
