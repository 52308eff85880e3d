// An answer of the service that is asked for again when something happened that may change it.

import { useEffect, useRef, useState } from "../components/vendor/htm-preact.js";
import { ask } from "./api.js";
import { follow } from "./live.js";

const GATHER_MS = 150; // what comes within it is one question
const AGAIN_MS = 1_500;

// Returns {data, problem}: data stays while it is asked for again. `touches` says whether an event may change the answer.
export function useAnswer(path, touches) {
  const [found, set] = useState({ path, data: null, problem: null });
  const latest = useRef(touches);
  latest.current = touches;
  useEffect(() => {
    if (path === null) return undefined;
    const stop = new AbortController();
    let timer = 0;
    let asking = false;
    let stale = false;
    const later = (ms) => {
      if (!timer) timer = setTimeout(() => { timer = 0; again(); }, ms);
    };
    const again = async () => {
      if (asking) { stale = true; return; }
      asking = true;
      stale = false;
      try {
        const data = await ask(path, stop.signal);
        if (!stop.signal.aborted) set({ path, data, problem: null });
      } catch (problem) {
        if (stop.signal.aborted) return;
        set((before) => ({ path, data: before.path === path ? before.data : null, problem }));
        if (problem.status === 0 || problem.status === 503) later(AGAIN_MS);
      } finally {
        asking = false;
      }
      if (stale) later(GATHER_MS);
    };
    again();
    const leave = follow((event) => {
      if (event === null || latest.current(event)) later(GATHER_MS);
    });
    return () => { leave(); stop.abort(); clearTimeout(timer); };
  }, [path]);
  return found.path === path ? found : { path, data: null, problem: null };
}
