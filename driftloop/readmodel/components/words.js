// Formats numbers and times.

const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
const SHORT_DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: "UTC" });
const SECONDS = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", timeZone: "UTC" });

export const millis = (text) => Date.parse(text);

// Event time, UTC; without 00:00.
export function day(time) {
  const at = new Date(time);
  const clock = CLOCK.format(at);
  return clock === "00:00" ? DAY.format(at) : `${DAY.format(at)} ${clock}`;
}

export const shortDay = (time) => SHORT_DAY.format(new Date(time));

// Wall time, UTC.
export const clock = (time) => `${DAY.format(new Date(time))} ${SECONDS.format(new Date(time))}`;

export const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(4)}`;

export const percent = (share) => `${+(share * 100).toFixed(1)}%`;

export const count = (value, one, many = `${one}s`) =>
  `${Number(value).toLocaleString("en-GB")} ${Number(value) === 1 ? one : many}`;

export const inStage = (stage, share) => (stage === "canary" ? `canary, answers ${percent(share)} of keys` : stage);

export function interval(verdict) {
  if (verdict.estimate === undefined) return "";
  return `${signed(verdict.estimate)} [${signed(verdict.lower)}, ${signed(verdict.upper)}]`;
}
