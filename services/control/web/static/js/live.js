// The stream of what happens: one for the page. A lost connection is reported, and restored from the last position.

import { useEffect, useState } from "../components/vendor/htm-preact.js";

const SILENCE_MS = 25_000; // the service gives a sign of life every ten seconds
const AGAIN_MS = 1_000;

const followers = new Set();
const watchers = new Set();
let source = null;
let place = 0;
let connection = { state: "connecting", since: Date.now() };
let silence = 0;
let again = 0;

export function begin(position) {
  place = Math.max(place, position);
  if (source === null) open();
}

// Calls back with each event that comes, and with null after a connection was restored.
export function follow(callback) {
  followers.add(callback);
  return () => followers.delete(callback);
}

export function useConnection() {
  const [found, set] = useState(connection);
  useEffect(() => {
    watchers.add(set);
    set(connection);
    return () => watchers.delete(set);
  }, []);
  return found;
}

function open() {
  clearTimeout(again);
  source?.close();
  source = new EventSource(`/api/stream?after=${place}`);
  source.onmessage = (message) => {
    heard();
    place = Math.max(place, Number(message.lastEventId));
    const event = JSON.parse(message.data);
    for (const callback of [...followers]) callback(event);
  };
  source.addEventListener("beat", heard);
  source.onerror = lost;
  expect();
}

function heard() {
  expect();
  const before = connection.state;
  if (before === "live") return;
  tell("live");
  if (before === "lost") for (const callback of [...followers]) callback(null);
}

function lost() {
  tell("lost");
  clearTimeout(again);
  again = setTimeout(open, AGAIN_MS);
}

function expect() {
  clearTimeout(silence);
  silence = setTimeout(lost, SILENCE_MS);
}

function tell(state) {
  if (connection.state === state) return;
  connection = { state, since: Date.now() };
  for (const set of [...watchers]) set(connection);
}
