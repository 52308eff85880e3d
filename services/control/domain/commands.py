"""User commands: whether one is possible now, and the event that it becomes."""

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

_MAX_LENGTH = 2_000
_MODEL_PATH = re.compile(r"imports/[0-9a-f]{64}\.onnx")


class Missing(ValueError):
    """The command lacks a value; the text says which."""


class Impossible(ValueError):
    """The command is not possible now; the text says why, and what is."""


@dataclass(frozen=True, slots=True)
class Command:
    """A user's command."""

    name: str
    """retrain, approve, reject, rollback, pause, resume or import"""
    loop: str
    who: str
    why: str
    request_id: str
    """The same id makes a repeated call the same command."""
    release_id: str = ""
    model: messages.ImportedModel | None = None
    """Set only for import."""

    @property
    def event_id(self) -> str:
        """Return the id of the event that it becomes."""
        return ids.event_id(f"control.{self.name}", self.loop, self.request_id)


def draft(command: Command, state: LoopState) -> Draft:
    """Return the event of a command, at the newest event time of its loop and in the chain of its release.

    Raises:
        Missing: who, why or the release is missing, or too long.
        Impossible: the loop cannot follow it now.
    """
    _check_complete(command)
    about = _CHECKS[command.name](command, state)
    return Draft(
        id=command.event_id,
        loop=command.loop,
        time_ms=state.time_ms,
        data=_MESSAGES[command.name](command),
        chain=state.chains.get(about),
    )


def _common(command: Command) -> dict[str, str]:
    return {"loop": command.loop, "who": command.who.strip(), "why": command.why.strip()}


def _check_complete(command: Command) -> None:
    for name in ("who", "why"):
        text = getattr(command, name).strip()
        if not text or len(text) > _MAX_LENGTH:
            raise Missing(f"{name} is missing or too long; it is stored with the command and shown in the history")
    if command.name in ("approve", "reject") and not command.release_id:
        raise Missing(f"name the release to {command.name}")
    if command.name == "import" and (command.model is None or not _MODEL_PATH.fullmatch(command.model.uri)):
        raise Missing(
            "the model is missing; use `driftloop import`, which checks and stores a file and then sends this command"
        )


def _approve(command: Command, state: LoopState) -> str:
    waiting = state.waiting
    if waiting is None or waiting.release != command.release_id:
        other = f"{waiting.release} does" if waiting else "no release of the loop does"
        raise Impossible(f"{command.release_id} does not wait for an approval; {other}")
    return command.release_id


def _reject(command: Command, state: LoopState) -> str:
    if state.release != command.release_id:
        other = f"{state.release} is, in {state.stage}" if state.release else "no release of the loop is"
        raise Impossible(f"{command.release_id} is not open; {other}")
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
        raise Impossible(f"{command.loop} has no closed window yet: there is nothing to train on")
    return ""


def _pause(command: Command, state: LoopState) -> str:
    if state.paused:
        raise Impossible(f"{command.loop} is paused already")
    return ""


def _resume(command: Command, state: LoopState) -> str:
    if not state.paused and not state.paused_topics:
        raise Impossible(f"{command.loop} is not paused, and ingestion reads all its topics")
    return ""


def _import(command: Command, state: LoopState) -> str:
    if not state.time_ms:
        raise Impossible(
            f"{command.loop} has no closed window yet: a model is judged by the loop's own events, so send those first"
        )
    return ""


_CHECKS: Mapping[str, Callable[[Command, LoopState], str]] = MappingProxyType(
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
"""Checks by command: each returns the release that the command is about, if any, or raises Impossible."""

_MESSAGES: Mapping[str, Callable[[Command], Message]] = MappingProxyType(
    {
        "approve": lambda command: messages.Approve(release_id=command.release_id, **_common(command)),
        "reject": lambda command: messages.Reject(release_id=command.release_id, **_common(command)),
        "rollback": lambda command: messages.Rollback(**_common(command)),
        "retrain": lambda command: messages.Retrain(**_common(command)),
        "pause": lambda command: messages.Pause(**_common(command)),
        "resume": lambda command: messages.Resume(**_common(command)),
        "import": lambda command: messages.Import(model=command.model, **_common(command)),
    }
)
NAMES = tuple(_MESSAGES)
