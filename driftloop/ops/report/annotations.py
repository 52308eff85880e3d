"""What happened, as marks across plots over time. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope


@dataclass(frozen=True)
class Mark:
    """Something that happened, to be drawn across a plot over time."""

    at: datetime
    kind: str
    """alarm, run, stage, promoted or rejected"""
    text: str


def marks_of(events: Iterable[Envelope[Any]]) -> list[Mark]:
    """Alarms that ask for a retrain, runs, stages, promotions and refusals."""
    return [mark for event in events if (mark := _mark(event))]


def moment(time_ms: int) -> datetime:
    """Milliseconds since the epoch as a moment in UTC."""
    return datetime.fromtimestamp(time_ms / 1000, tz=UTC)


def _mark(event: Envelope[Any]) -> Mark | None:
    at, data = moment(event.time_ms), event.data
    if isinstance(data, monitoring.DriftDetected) and data.mode == "trigger":
        return Mark(at, "alarm", f"alarm {data.detector}")
    if isinstance(data, training.CandidateTrained):
        return Mark(at, "run", "run")
    if isinstance(data, registry.StageEntered) and data.stage in ("shadow", "canary"):
        return Mark(at, "stage", data.stage)
    if isinstance(data, registry.ChampionPromoted):
        return Mark(at, "promoted", "promoted")
    if isinstance(data, registry.ReleaseRejected | registry.ReleaseRolledBack):
        return Mark(at, "rejected", "refused")
    return None
