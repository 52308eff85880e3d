// The page's one stream of events. Reports a lost connection, and restores it from the last position.

import { useEffect, useState } from "../components/vendor/htm-preact.js";

const SILENCE_MS = 25_000; // the service sends a heartbeat every ten seconds
const RETRY_MS = 1_000;

const followers = new Set();
const watchers = new Set();
let source = null;
let position = 0;
let connection = { state: "connecting", since: Date.now() };
let silence = 0;
let retry = 0;

export function begin(first) {
  position = Math.max(position, first);
  if (source === null) open();
}

// Calls back with each new event, and with null after a restored connection.
export function follow(callback) {
  followers.add(callback);
  return () => followers.delete(callback);
}

export function useConnection() {
  const [current, set] = useState(connection);
  useEffect(() => {
    watchers.add(set);
    set(connection);
    return () => watchers.delete(set);
  }, []);
  return current;
}

function open() {
  clearTimeout(retry);
  source?.close();
  source = new EventSource(`/api/stream?after=${position}`);
  source.onmessage = (message) => {
    onActivity();
    position = Math.max(position, Number(message.lastEventId));
    const event = JSON.parse(message.data);
    for (const callback of [...followers]) callback(event);
  };
  source.addEventListener("beat", onActivity);
  source.onerror = onLost;
  resetTimeout();
}

function onActivity() {
  resetTimeout();
  const before = connection.state;
  if (before === "live") return;
  setState("live");
  if (before === "lost") for (const callback of [...followers]) callback(null);
}

function onLost() {
  setState("lost");
  clearTimeout(retry);
  retry = setTimeout(open, RETRY_MS);
}

function resetTimeout() {
  clearTimeout(silence);
  silence = setTimeout(onLost, SILENCE_MS);
}

function setState(state) {
  if (connection.state === state) return;
  connection = { state, since: Date.now() };
  for (const set of [...watchers]) set(connection);
}
