"""When a command has had its effect: pure, fed with the events that come after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from google.protobuf import json_format

from driftloop.contracts import control_api_pb2 as api


@dataclass(frozen=True)
class Effect:
    """What came of a command so far."""

    done: bool = False
    words: str = "sent"
    ignored: bool = False
    """Nothing changed."""


@dataclass
class Watch:
    """Follows one command.

    approve, reject, rollback: until the router answers by the epoch that they bring about. retrain: until training is
    asked for, or the reason kept for later. pause, resume: until the command is on record. import: until
    its model answers, is judged in shadow, or is refused.
    """

    command: str
    event_id: str
    effect: Effect = Effect()
    _epoch: int | None = field(default=None)

    def see(self, event: api.Event) -> bool:
        """Take note of an event; says whether it has to do with the command."""
        if event.id == self.event_id:
            if self.command in ("pause", "resume"):
                self.effect = Effect(True, f"{self.command}d")
            return True
        kind = event.type.rsplit(".", 1)[-1]
        if kind == "CommandIgnored" and _content(event)["command_id"] == self.event_id:
            self.effect = Effect(True, f"nothing changed: {_content(event)['reason']}", ignored=True)
            return True
        if self.command == "retrain":
            return self._retrain(kind, event)
        return self._import(kind, event) if self.command == "import" else self._route(kind, event)

    def _retrain(self, kind: str, event: api.Event) -> bool:
        if kind == "RetrainRequested" and self.event_id in _reasons(event):
            self.effect = Effect(True, "training is asked for")
            return True
        if kind == "ReasonCoalesced" and _content(event)["reason"]["event_id"] == self.event_id:
            self.effect = _kept(_content(event)["because"], event.loop)
            return True
        return False

    def _import(self, kind: str, event: api.Event) -> bool:
        """All that comes of an import stands in the chain that it opened."""
        if event.correlation_id != self.event_id:
            return False
        content = _content(event)
        if kind == "ReasonCoalesced":
            self.effect = _kept(content["because"], event.loop)
        elif kind in ("RunFailed", "ReleaseRejected", "ReleaseRolledBack", "RouteFailed"):
            why = content.get("detail") or content.get("reason", "")
            self.effect = Effect(True, f"the model is refused: {why}", ignored=True)
        elif kind == "RouteConverged":
            champion, challenger = content["champion_release_id"], content.get("challenger_release_id", "")
            judged = f"{challenger} is judged beside the champion {champion}, on the same requests"
            self.effect = Effect(True, judged if challenger else f"{champion} answers, the loop's champion")
        return True

    def _route(self, kind: str, event: api.Event) -> bool:
        if kind == "StageEntered" and event.causation_id == self.event_id:
            self._epoch = int(_content(event)["epoch"])
            if not _content(event).get("champion_release_id", ""):
                self.effect = Effect(True, "taken back; nobody answers any more")
            return True
        if self._epoch is None or kind not in ("RouteConverged", "RouteFailed"):
            return self._epoch is not None and event.causation_id == self.event_id
        if int(_content(event)["epoch"]) < self._epoch:
            return False
        champion = _content(event).get("champion_release_id", "")
        words = f"route {self._epoch} answers, champion {champion}" if kind == "RouteConverged" else "the route failed"
        self.effect = Effect(True, words)
        return True


def _kept(because: str, loop: str) -> Effect:
    if because == "no-trainer":
        what = f"nothing is trained: {loop} has no trainer; bring a model with `driftloop import {loop} --onnx FILE`"
        return Effect(True, what, ignored=True)
    return Effect(True, f"kept for a later run ({because})")


def _reasons(event: api.Event) -> list[str]:
    return [each["event_id"] for each in _content(event)["reasons"]]


def _content(event: api.Event) -> dict[str, Any]:
    """The message; a field at its default is not there."""
    found: dict[str, Any] = json_format.MessageToDict(event.payload)
    return found
