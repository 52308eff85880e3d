// What a command leads to, from the events that follow it.

import { useEffect, useRef, useState } from "../components/vendor/htm-preact.js";
import { ask } from "./api.js";
import { follow } from "./live.js";

const AT_ONCE = { pause: "Paused.", resume: "Resumed." };
const ENDS = {
  RouteConverged: "done", RouteFailed: "failed", CommandIgnored: "failed", RetrainRequested: "done", ReasonCoalesced: "done",
};

const sentence = (line) => `${line.charAt(0).toUpperCase()}${line.slice(1)}${line.endsWith(".") ? "" : "."}`;

// Returns {send(accepted), seen: events so far, end: null or [done or failed, words]}.
export function useEffectOf(name) {
  const [seen, setSeen] = useState([]);
  const [end, setEnd] = useState(null);
  const early = useRef([]); // what came before the answer to the command did
  const led = useRef(null);

  const see = (event) => {
    if (event.id !== led.current.command && !led.current.ids.has(event.causation_id)) return;
    if (led.current.ids.has(event.id) && event.id !== led.current.command) return;
    led.current.ids.add(event.id);
    setSeen((before) => (before.some((each) => each.id === event.id) ? before : [...before, event]));
    if (event.id === led.current.command && AT_ONCE[name]) setEnd(["done", AT_ONCE[name]]);
    else if (ENDS[event.kind] && event.id !== led.current.command) setEnd([ENDS[event.kind], sentence(event.line)]);
    else if (event.kind === "StageEntered") nobody(event);
  };
  const nobody = async (event) => {
    const { payload } = await ask(`events/${encodeURIComponent(event.id)}`);
    if (!payload.champion_release_id) setEnd(["done", "Taken back; nobody answers any more."]);
  };
  useEffect(() => follow((event) => {
    if (event === null) return;
    if (led.current === null) early.current.push(event);
    else see(event);
  }), []);

  const send = (accepted) => {
    led.current = { command: accepted.event_id, ids: new Set([accepted.event_id]) };
    for (const event of early.current.splice(0)) see(event);
  };
  return { send, seen, end };
}
