"""What a person can do for a loop now."""

from __future__ import annotations

from driftloop.readmodel.event_text import day
from driftloop.readmodel.loops import LoopState

_UNTRAINED = {"first-champion": "it has no model", "drift": "it has drifted", "command": "a person asked to retrain"}
"""Why the loop needs a model, by the reason that no trainer acts on."""


def next_step(state: LoopState) -> str:
    """Return one line: a command if the loop waits for a person, else what the loop does next."""
    name, waiting = state.loop, state.waiting
    if waiting is not None:
        until = day(waiting.deadline_ms)
        return f"driftloop approve {name} {waiting.release} --why ..., or reject; the policy decides after {until}"
    if state.paused:
        return f"paused: driftloop resume {name} --why ..."
    if state.epoch > state.converged_epoch and state.champion:
        return f"the router does not serve epoch {state.epoch} yet: driftloop status"
    if state.release:
        return f"nothing to do: {state.release} is judged in {state.stage} as outcomes come in"
    if state.open:
        return f"nothing to do: {state.open[0]}"
    if state.untrained:
        return f"{_UNTRAINED[state.untrained]}, and no trainer: driftloop import {name} --onnx FILE --why ..."
    if not state.champion:
        return "nothing to do: the first champion is trained once there are enough events"
    return "nothing to do: watched"
