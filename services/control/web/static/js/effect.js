// The effect of a command, from the events that follow it.

import { useEffect, useRef, useState } from "../components/vendor/htm-preact.js";
import { read } from "./api.js";
import { follow } from "./live.js";

const AT_ONCE = { pause: "Paused.", resume: "Resumed." };
const ENDS = {
  RouteConverged: "done", RouteFailed: "failed", CommandIgnored: "failed", RetrainRequested: "done", ReasonCoalesced: "done",
};

const sentence = (line) => `${line.charAt(0).toUpperCase()}${line.slice(1)}${line.endsWith(".") ? "" : "."}`;

// Returns {send(accepted), seen: events so far, end: null or [done or failed, text]}.
export function useEffectOf(name) {
  const [seen, setSeen] = useState([]);
  const [end, setEnd] = useState(null);
  const early = useRef([]); // events that came before the answer to the command
  const chain = useRef(null);

  const add = (event) => {
    if (event.id !== chain.current.command && !chain.current.ids.has(event.causation_id)) return;
    if (chain.current.ids.has(event.id) && event.id !== chain.current.command) return;
    chain.current.ids.add(event.id);
    setSeen((before) => (before.some((other) => other.id === event.id) ? before : [...before, event]));
    if (event.id === chain.current.command && AT_ONCE[name]) setEnd(["done", AT_ONCE[name]]);
    else if (ENDS[event.kind] && event.id !== chain.current.command) setEnd([ENDS[event.kind], sentence(event.line)]);
    else if (event.kind === "StageEntered") checkChampion(event);
  };
  const checkChampion = async (event) => {
    const { payload } = await read(`events/${encodeURIComponent(event.id)}`);
    if (!payload.champion_release_id) setEnd(["done", "Rolled back; no release answers now."]);
  };
  useEffect(() => follow((event) => {
    if (event === null) return;
    if (chain.current === null) early.current.push(event);
    else add(event);
  }), []);

  const send = (accepted) => {
    chain.current = { command: accepted.event_id, ids: new Set([accepted.event_id]) };
    for (const event of early.current.splice(0)) add(event);
  };
  return { send, seen, end };
}
