// Dialog for a command: its effect, who sends it and why, and its result.

import { html, useLayoutEffect, useRef, useState } from "../components/vendor/htm-preact.js";
import { command as sendCommand } from "./api.js";
import { Dialog } from "./dialog.js";
import { useEffectOf } from "./effect.js";
import { Icon } from "../components/glyphs.js";
import { percent } from "../components/words.js";

const WHO = "driftloop.who";

const COMMANDS = {
  approve: {
    verb: "Approve", icon: "champion",
    can: (loop) => Boolean(loop.approval),
    release: (loop) => loop.approval?.release_id ?? "",
    effect: (loop, plan) => {
      const { release_id: release, to_stage: to } = loop.approval;
      if (to === "champion") return `${release} becomes champion and answers every request. You can roll back to ${loop.champion}.`;
      const share = plan?.steps.find((step) => step.stage === to)?.share;
      return `${release} moves to ${to}${share ? ` and answers ${percent(share)} of keys` : ""}. ${loop.champion} stays champion.`;
    },
  },
  reject: {
    verb: "Reject", icon: "ended", danger: true,
    can: (loop) => Boolean(loop.challenger),
    release: (loop) => loop.challenger,
    effect: (loop) => `${loop.challenger} ends in ${loop.stage} and cannot return. ${loop.champion} stays champion and answers every request.`,
  },
  rollback: {
    verb: "Roll back", icon: "back", danger: true,
    can: (loop) => Boolean(loop.challenger || loop.former.length),
    effect: (loop) => loop.challenger
      ? `${loop.challenger} is removed from ${loop.stage}. ${loop.champion} stays champion and answers every request.`
      : `${loop.champion} is rolled back. ${loop.former[loop.former.length - 1]}, the previous champion, answers every request again.`,
  },
  pause: {
    verb: "Pause", icon: "wait",
    can: (loop) => !loop.paused,
    effect: (loop) => `${loop.name} stops automatic training and promotion until it is resumed. A release that is worse is still rolled back.`,
  },
  resume: {
    verb: "Resume", icon: "route",
    can: (loop) => loop.paused || loop.paused_topics.length > 0,
    effect: (loop) => [
      loop.paused ? `${loop.name} trains, judges and promotes automatically again.` : "",
      loop.paused_topics.length ? `Ingestion reads ${loop.paused_topics.join(", ")} again; records that it refuses become dead letters.` : "",
    ].join(" ").trim(),
  },
  retrain: {
    verb: "Retrain", icon: "run",
    can: (loop) => Boolean(loop.event_time),
    effect: (loop) => `A candidate is trained for ${loop.name} on its newest data, then judged and rolled out like any other. If the loop is busy, the request is kept for later.`,
  },
};

export const verb = (name) => COMMANDS[name].verb;
export const icon = (name) => COMMANDS[name].icon;
export const isDanger = (name) => Boolean(COMMANDS[name].danger);

// Commands that are possible now; approval first.
export const possible = (loop) => Object.keys(COMMANDS).filter((name) => COMMANDS[name].can(loop));

// A random id; randomUUID would need https.
const randomId = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (number) => number.toString(16).padStart(8, "0")).join("");

export function CommandDialog({ name, loop, plan, onClose }) {
  const [about] = useState(() => ({ effect: COMMANDS[name].effect(loop, plan), release: COMMANDS[name].release?.(loop) ?? "", id: randomId() }));
  const [who, setWho] = useState(localStorage.getItem(WHO) ?? "");
  const [why, setWhy] = useState("");
  const [state, setState] = useState("editing"); // then sending, then sent
  const [problem, setProblem] = useState(null);
  const effect = useEffectOf(name);
  const submit = async (event) => {
    event.preventDefault();
    setState("sending");
    setProblem(null);
    try {
      localStorage.setItem(WHO, who.trim());
      const request = { loop: loop.name, release_id: about.release, who, why, request_id: about.id };
      effect.send(await sendCommand(name, request));
      setState("sent");
    } catch (refused) {
      setProblem(refused);
      setState("editing");
    }
  };
  return html`<${Dialog} title=${`${COMMANDS[name].verb} ${loop.name}?`} onClose=${onClose}>
    <p class="lead">${about.effect}</p>
    ${state === "sent" ? html`<${Effect} name=${name} effect=${effect} onClose=${onClose} />` : html`<form onSubmit=${submit}>
      <label for="who">Who <span class="muted">(stored with the command)</span></label>
      <input id="who" name="who" required maxlength="2000" autocomplete="username" autofocus=${!who} value=${who} onInput=${(event) => setWho(event.target.value)} />
      <label for="why">Why <span class="muted">(shown in the history)</span></label>
      <textarea id="why" name="why" rows="2" required maxlength="2000" autofocus=${Boolean(who)} value=${why} onInput=${(event) => setWhy(event.target.value)}></textarea>
      ${problem ? html`<p class="problem" role="alert">${problem.status === 0 ? `${problem.message} If you try again, it is carried out only once.` : sentence(problem.message)}</p>` : null}
      <footer><button type="button" onClick=${onClose}>Cancel</button>
        <button class=${`primary ${COMMANDS[name].danger ? "danger" : ""}`} disabled=${state === "sending" || !who.trim() || !why.trim()}>
          ${state === "sending" ? "Sending…" : `${COMMANDS[name].verb} ${about.release || loop.name}`}</button></footer>
    </form>`}
  </${Dialog}>`;
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

function Effect({ effect, onClose }) {
  const button = useRef(null);
  useLayoutEffect(() => button.current.focus(), []);
  const [result, text] = effect.end ?? ["waiting", "Sent. Its effect appears here; it continues if you close this."];
  return html`<ol class="effect">${effect.seen.map((event) => html`<li key=${event.id}><${Icon} name=${event.glyph} /> ${event.line}</li>`)}</ol>
    <p class=${`outcome ${result}`} role="status">${text}</p>
    <footer><button type="button" class="primary" ref=${button} onClick=${onClose}>Close</button></footer>`;
}
