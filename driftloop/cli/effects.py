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
    asked for, or the reason kept for later. pause, resume: until the command is on record.
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
        return self._route(kind, event)

    def _retrain(self, kind: str, event: api.Event) -> bool:
        if kind == "RetrainRequested" and self.event_id in _reasons(event):
            self.effect = Effect(True, "training is asked for")
            return True
        if kind == "ReasonCoalesced" and _content(event)["reason"]["event_id"] == self.event_id:
            self.effect = Effect(True, f"kept for a later run ({_content(event)['because']})")
            return True
        return False

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


def _reasons(event: api.Event) -> list[str]:
    return [each["event_id"] for each in _content(event)["reasons"]]


def _content(event: api.Event) -> dict[str, Any]:
    """The message; a field at its default is not there."""
    found: dict[str, Any] = json_format.MessageToDict(event.payload)
    return found
