"""What a person can do for a loop now."""

from __future__ import annotations

from driftloop.readmodel.catalogue import KEPT_UNTIL
from driftloop.readmodel.event_text import day, quote
from driftloop.readmodel.loops import LoopState

_UNTRAINED = {"first-champion": "it has no model", "drift": "it has drifted", "command": "a person asked to retrain"}
"""Why the loop needs a model, by the reason that no trainer acts on."""


def next_step(state: LoopState) -> str:
    """Return one line: a command if the loop waits for a person, else what the loop does next."""
    if command := _command(state):
        return command
    if state.epoch > state.converged_epoch and state.champion:
        return f"the router does not serve epoch {state.epoch} yet: driftloop status"
    if state.release:
        return f"nothing to do: {state.release} is judged in {state.stage} as outcomes come in{_kept(state)}"
    return _next_run(state)


def notes(state: LoopState) -> list[str]:
    """Return what a person should know about a loop although nothing waits for it, one line each."""
    return [
        f"detector {silent.detector} has not judged the last {silent.windows} windows: "
        + (
            f"the newest has {silent.rows} rows for it, min_rows is {silent.min_rows}"
            if silent.rows
            else "they have no rows for it; does the champion have its input?"
        )
        for silent in state.silent
    ]


def _next_run(state: LoopState) -> str:
    """Return what a loop without an open release does next."""
    if state.breaker_open:
        return _breaker(state)
    if state.open:
        return f"nothing to do: {state.open[0]}{_kept(state)}"
    if state.untrained:
        return f"{_UNTRAINED[state.untrained]}, and no trainer: driftloop import {state.loop} --onnx FILE --why ..."
    if not state.champion:
        return _first_champion(state)
    if state.kept:
        return f"nothing to do: the next run starts at a window's end{_kept(state)}"
    if state.last_failure:
        failure = quote(state.last_failure)
        return f"watched, but the last attempt to train failed: {failure}; details: driftloop timeline {state.loop}"
    return "nothing to do: watched"


def _breaker(state: LoopState) -> str:
    running = f"{state.open[0]}; " if state.open else ""
    failure = f"; last: {quote(state.last_failure)}" if state.last_failure else ""
    failures = f"after {state.failures} failures in a row" if state.failures else "after several failures in a row"
    return (
        f"{running}the breaker is open {failures}, so only a person starts a run{failure}{_kept(state)}. "
        f"Fix the cause, then driftloop retrain {state.loop} --why ..."
    )


def _first_champion(state: LoopState) -> str:
    if not state.last_failure:
        return f"nothing to do: the first champion is trained once there are enough events{_kept(state)}"
    at = f"at the next window's end, or now with driftloop retrain {state.loop} --why ..."
    if state.kept:
        at = f"at a window's end{_kept(state)}"
    failure = quote(state.last_failure)
    return f"no champion yet, because the last attempt failed: {failure}. Fix the cause; another run starts {at}"


def _kept(state: LoopState) -> str:
    """Return the kept reasons, and until when; empty if there are none."""
    if not state.kept:
        return ""
    reasons = ", ".join(f"{reason.kind} of {day(reason.since_ms)} ({quote(reason.detail)})" for reason in state.kept)
    return f"; kept: {reasons}" if state.breaker_open else f"; kept {kept_until(state)}: {reasons}"


def kept_until(state: LoopState) -> str:
    """Return until when reasons are kept: what holds them back now, which may differ from when they arrived."""
    if state.paused:
        return KEPT_UNTIL["paused"]
    if state.release:
        return KEPT_UNTIL["release-open"]
    if state.breaker_open:
        return KEPT_UNTIL["breaker"]
    because = state.kept[0].because if state.kept else ""
    if because in ("no-window", "no-trainer") or (because == "run-open" and state.open):
        return KEPT_UNTIL[because]
    return "until the next window ends, or the cooldown"


def _command(state: LoopState) -> str:
    """Return what the loop needs from a person; empty if nothing."""
    name, waiting = state.loop, state.waiting
    for topic, why in state.paused_topics.items():
        return f"{topic} is not read ({why}): driftloop dlq list {topic}; then driftloop resume {name} --why ..."
    if waiting is not None:
        until = day(waiting.deadline_ms)
        decide = f"driftloop approve {name} {waiting.release} --why ..., or reject; the policy decides after {until}"
        return f"{decide}{_kept(state)}"
    return f"paused: driftloop resume {name} --why ...{_kept(state)}" if state.paused else ""
