"""When a command has taken effect, decided from the events that follow it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from google.protobuf import json_format

from driftloop.contracts import control_api_pb2 as api
from driftloop.readmodel.catalogue import KEPT_UNTIL


@dataclass(frozen=True)
class Effect:
    """The effect of a command so far."""

    done: bool = False
    text: str = "sent"
    ignored: bool = False
    """Whether nothing changed."""


@dataclass
class CommandWatch:
    """Follows one command until it has taken effect.

    approve, reject, rollback: the router answers by the epoch that they cause. retrain: training is requested, or the
    reason is kept for a later run. pause, resume: the command is published. import: the model answers, is judged in
    shadow, or is refused.
    """

    command: str
    event_id: str
    effect: Effect = Effect()
    _epoch: int | None = field(default=None)

    def process(self, event: api.Event) -> bool:
        """Process an event; return whether it belongs to the command."""
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
        if kind == "RetrainRequested" and self.event_id in _reason_ids(event):
            self.effect = Effect(True, "training is requested")
            return True
        if kind == "ReasonCoalesced" and _content(event)["reason"]["event_id"] == self.event_id:
            self.effect = _kept_for_later(_content(event)["because"], event.loop)
            return True
        return False

    def _import(self, kind: str, event: api.Event) -> bool:
        """Process an event of the chain that the import opened."""
        if event.correlation_id != self.event_id:
            return False
        content = _content(event)
        if kind == "ReasonCoalesced":
            self.effect = _kept_for_later(content["because"], event.loop)
        elif kind in ("RunFailed", "ReleaseRejected", "ReleaseRolledBack", "RouteFailed"):
            why = content.get("detail") or content.get("reason", "")
            self.effect = Effect(True, f"the model is refused: {why}", ignored=True)
        elif kind == "RouteConverged":
            champion, challenger = content["champion_release_id"], content.get("challenger_release_id", "")
            text = f"{challenger} is compared with the champion {champion}, on the same requests"
            self.effect = Effect(True, text if challenger else f"{champion} answers as the loop's champion")
        return True

    def _route(self, kind: str, event: api.Event) -> bool:
        if kind == "StageEntered" and event.causation_id == self.event_id:
            self._epoch = int(_content(event)["epoch"])
            if not _content(event).get("champion_release_id", ""):
                self.effect = Effect(True, "rolled back; no release answers now")
            return True
        if self._epoch is None or kind not in ("RouteConverged", "RouteFailed"):
            return self._epoch is not None and event.causation_id == self.event_id
        if int(_content(event)["epoch"]) < self._epoch:
            return False
        champion = _content(event).get("champion_release_id", "")
        text = f"route {self._epoch} answers, champion {champion}" if kind == "RouteConverged" else "the route failed"
        self.effect = Effect(True, text)
        return True


def _kept_for_later(because: str, loop: str) -> Effect:
    if because == "no-trainer":
        text = f"nothing is trained: {loop} has no trainer; import one with `driftloop import {loop} --onnx FILE`"
        return Effect(True, text, ignored=True)
    return Effect(True, f"kept, {KEPT_UNTIL.get(because, because)}")


def _reason_ids(event: api.Event) -> list[str]:
    return [reason["event_id"] for reason in _content(event)["reasons"]]


def _content(event: api.Event) -> dict[str, Any]:
    """Return the message; fields with default values are absent."""
    content: dict[str, Any] = json_format.MessageToDict(event.payload)
    return content
