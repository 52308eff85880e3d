// Reads from the service, and again after events that may change the answer.

import { useEffect, useRef, useState } from "../components/vendor/htm-preact.js";
import { read } from "./api.js";
import { follow } from "./live.js";

const GATHER_MS = 150; // events within this time cause one request
const RETRY_MS = 1_500;

// Returns {data, problem}: data stays until the next answer. `touches` returns whether an event may change it.
export function useAnswer(path, touches) {
  const [state, set] = useState({ path, data: null, problem: null });
  const latest = useRef(touches);
  latest.current = touches;
  useEffect(() => {
    if (path === null) return undefined;
    const stop = new AbortController();
    let timer = 0;
    let loading = false;
    let stale = false;
    const schedule = (ms) => {
      if (!timer) timer = setTimeout(() => { timer = 0; load(); }, ms);
    };
    const load = async () => {
      if (loading) { stale = true; return; }
      loading = true;
      stale = false;
      try {
        const data = await read(path, stop.signal);
        if (!stop.signal.aborted) set({ path, data, problem: null });
      } catch (problem) {
        if (stop.signal.aborted) return;
        set((before) => ({ path, data: before.path === path ? before.data : null, problem }));
        if (problem.status === 0 || problem.status === 503) schedule(RETRY_MS);
      } finally {
        loading = false;
      }
      if (stale) schedule(GATHER_MS);
    };
    load();
    const leave = follow((event) => {
      if (event === null || latest.current(event)) schedule(GATHER_MS);
    });
    return () => { leave(); stop.abort(); clearTimeout(timer); };
  }, [path]);
  return state.path === path ? state : { path, data: null, problem: null };
}
