"""Commands of people: whether one can be followed now, and the event that it becomes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from google.protobuf.message import Message

from driftloop.contracts import control_pb2 as messages
from driftloop.events import ids
from driftloop.events.envelope import Draft
from driftloop.readmodel.loops import LoopState

_LONGEST = 2_000
_KEPT = re.compile(r"imports/[0-9a-f]{64}\.onnx")


class Missing(ValueError):
    """The command lacks something; the text says what."""


class Impossible(ValueError):
    """Nothing could follow the command now; the text says why, and what there is."""


@dataclass(frozen=True, slots=True)
class Command:
    """What a person asks for."""

    name: str
    """retrain, approve, reject, rollback, pause, resume or import"""
    loop: str
    who: str
    why: str
    request_id: str
    """Makes a repeated call one command."""
    release_id: str = ""
    model: messages.ImportedModel | None = None
    """import only."""

    @property
    def event_id(self) -> str:
        """Id of the event that it becomes."""
        return ids.event_id(f"control.{self.name}", self.loop, self.request_id)


def draft(command: Command, state: LoopState) -> Draft:
    """The event that a command becomes, at the newest event time of its loop, in the chain of the release it is about.

    Raises:
        Missing: who, why or the release is missing, or too long.
        Impossible: nothing could follow it.
    """
    _complete(command)
    about = _CAN[command.name](command, state)
    return Draft(
        id=command.event_id,
        loop=command.loop,
        time_ms=state.time_ms,
        data=_MESSAGES[command.name](command),
        chain=state.chains.get(about),
    )


def _complete(command: Command) -> None:
    for name in ("who", "why"):
        text = getattr(command, name).strip()
        if not text or len(text) > _LONGEST:
            raise Missing(f"say {name}: it is kept with the command, and shown in the history")
    if command.name in ("approve", "reject") and not command.release_id:
        raise Missing(f"say which release to {command.name}")
    if command.name == "import" and (command.model is None or not _KEPT.fullmatch(command.model.uri)):
        raise Missing("say which model: `driftloop import` looks at a file first, keeps it, and sends this command")


def _approve(command: Command, state: LoopState) -> str:
    waiting = state.waiting
    if waiting is None or waiting.release != command.release_id:
        there = f"{waiting.release} does" if waiting else "no release of the loop does"
        raise Impossible(f"{command.release_id} does not wait for an approval; {there}")
    return command.release_id


def _reject(command: Command, state: LoopState) -> str:
    if state.release != command.release_id:
        there = f"{state.release} is, in {state.stage}" if state.release else "no release of the loop is"
        raise Impossible(f"{command.release_id} is not open; {there}")
    return command.release_id


def _rollback(command: Command, state: LoopState) -> str:
    if state.release:
        return state.release
    if not state.former:
        raise Impossible(
            f"{command.loop} has no open release, and no champion before {state.champion}"
            if state.champion
            else f"{command.loop} has no champion yet"
        )
    return state.champion


def _retrain(command: Command, state: LoopState) -> str:
    if not state.time_ms:
        raise Impossible(f"{command.loop} has seen no window yet: there is nothing to train on")
    return ""


def _pause(command: Command, state: LoopState) -> str:
    if state.paused:
        raise Impossible(f"{command.loop} is paused already")
    return ""


def _resume(command: Command, state: LoopState) -> str:
    if not state.paused:
        raise Impossible(f"{command.loop} is not paused")
    return ""


def _import(command: Command, state: LoopState) -> str:
    if not state.time_ms:
        raise Impossible(
            f"{command.loop} has seen no window yet: a model is judged by the loop's own events, so send those first"
        )
    return ""


_CAN: Mapping[str, Callable[[Command, LoopState], str]] = MappingProxyType(
    {
        "approve": _approve,
        "reject": _reject,
        "rollback": _rollback,
        "retrain": _retrain,
        "pause": _pause,
        "resume": _resume,
        "import": _import,
    }
)
"""Command to what says whether it can be followed; returns the release that it is about, if any."""

_MESSAGES: Mapping[str, Callable[[Command], Message]] = MappingProxyType(
    {
        "approve": lambda asked: messages.Approve(
            loop=asked.loop, release_id=asked.release_id, who=asked.who.strip(), why=asked.why.strip()
        ),
        "reject": lambda asked: messages.Reject(
            loop=asked.loop, release_id=asked.release_id, who=asked.who.strip(), why=asked.why.strip()
        ),
        "rollback": lambda asked: messages.Rollback(loop=asked.loop, who=asked.who.strip(), why=asked.why.strip()),
        "retrain": lambda asked: messages.Retrain(loop=asked.loop, who=asked.who.strip(), why=asked.why.strip()),
        "pause": lambda asked: messages.Pause(loop=asked.loop, who=asked.who.strip(), why=asked.why.strip()),
        "resume": lambda asked: messages.Resume(loop=asked.loop, who=asked.who.strip(), why=asked.why.strip()),
        "import": lambda asked: messages.Import(
            loop=asked.loop, who=asked.who.strip(), why=asked.why.strip(), model=asked.model
        ),
    }
)
NAMES = tuple(_MESSAGES)
