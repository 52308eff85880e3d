// A command of a person: what it will do, who wants it and why, a question, and what came of it.

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
    says: (loop, plan) => {
      const { release_id: release, to_stage: to } = loop.approval;
      if (to === "champion") return `${release} becomes champion and answers every request. ${loop.champion} is kept, so that you can roll back.`;
      const share = plan?.steps.find((each) => each.stage === to)?.share;
      return `${release} goes on to ${to}${share ? ` and answers ${percent(share)} of keys` : ""}. ${loop.champion} stays champion.`;
    },
  },
  reject: {
    verb: "Reject", icon: "ended", danger: true,
    can: (loop) => Boolean(loop.challenger),
    release: (loop) => loop.challenger,
    says: (loop) => `${loop.challenger} ends here, in ${loop.stage}, for good. ${loop.champion} answers every request, as champion.`,
  },
  rollback: {
    verb: "Roll back", icon: "back", danger: true,
    can: (loop) => Boolean(loop.challenger || loop.former.length),
    says: (loop) => loop.challenger
      ? `${loop.challenger} is taken out of ${loop.stage}. ${loop.champion} stays champion and answers every request.`
      : `${loop.champion} is taken back. ${loop.former[loop.former.length - 1]}, champion before it, answers every request again.`,
  },
  pause: {
    verb: "Pause", icon: "wait",
    can: (loop) => !loop.paused,
    says: (loop) => `Nothing is trained or promoted in ${loop.name} by itself until somebody resumes it. What is worse is still taken back.`,
  },
  resume: {
    verb: "Resume", icon: "route",
    can: (loop) => loop.paused,
    says: (loop) => `${loop.name} acts by itself again: it trains, judges and promotes by its policy.`,
  },
  retrain: {
    verb: "Retrain", icon: "run",
    can: (loop) => Boolean(loop.event_time),
    says: (loop) => `A candidate is trained for ${loop.name} on its newest data, then judged and rolled out like any other. While the loop is busy the reason is kept for later.`,
  },
};

export const verb = (name) => COMMANDS[name].verb;
export const icon = (name) => COMMANDS[name].icon;
export const isDanger = (name) => Boolean(COMMANDS[name].danger);

// Commands that can be followed now; what waits for a person first.
export const possible = (loop) => Object.keys(COMMANDS).filter((name) => COMMANDS[name].can(loop));

// A number that nobody else has, where the page is not served over https either.
const drawn = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (each) => each.toString(16).padStart(8, "0")).join("");

export function CommandDialog({ name, loop, plan, onClose }) {
  const [about] = useState(() => ({ says: COMMANDS[name].says(loop, plan), release: COMMANDS[name].release?.(loop) ?? "", id: drawn() }));
  const [who, setWho] = useState(localStorage.getItem(WHO) ?? "");
  const [why, setWhy] = useState("");
  const [state, setState] = useState("asking"); // then sending, then sent
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
      setState("asking");
    }
  };
  return html`<${Dialog} title=${`${COMMANDS[name].verb} ${loop.name}?`} onClose=${onClose}>
    <p class="lead">${about.says}</p>
    ${state === "sent" ? html`<${Effect} name=${name} effect=${effect} onClose=${onClose} />` : html`<form onSubmit=${submit}>
      <label for="who">Who <span class="muted">(kept with the command)</span></label>
      <input id="who" name="who" required maxlength="2000" autocomplete="username" autofocus=${!who} value=${who} onInput=${(event) => setWho(event.target.value)} />
      <label for="why">Why <span class="muted">(shown in the history)</span></label>
      <textarea id="why" name="why" rows="2" required maxlength="2000" autofocus=${Boolean(who)} value=${why} onInput=${(event) => setWhy(event.target.value)}></textarea>
      ${problem ? html`<p class="problem" role="alert">${problem.status === 0 ? `${problem.message} Trying again sends it once, even if it came through.` : sentence(problem.message)}</p>` : null}
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
  const [how, words] = effect.end ?? ["waiting", "Sent. What comes of it shows here; it goes on if you close this."];
  return html`<ol class="effect">${effect.seen.map((event) => html`<li key=${event.id}><${Icon} name=${event.glyph} /> ${event.line}</li>`)}</ol>
    <p class=${`outcome ${how}`} role="status">${words}</p>
    <footer><button type="button" class="primary" ref=${button} onClick=${onClose}>Close</button></footer>`;
}
