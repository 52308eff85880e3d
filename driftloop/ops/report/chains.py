"""Chains of lifecycle events: from the oldest reason to promotion, rejection or rollback. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope, rfc3339
from driftloop.readmodel.loop_history import LoopHistory

_ENDS = (registry.ChampionPromoted, registry.ReleaseRejected, registry.ReleaseRolledBack, training.RunFailed)
_REASONS = (monitoring.DriftDetected, training.RetrainRequested, training.ReasonCoalesced, registry.ReleaseCreated)


@dataclass(frozen=True)
class Chain:
    """Events of one correlation id, in the order of publication."""

    correlation_id: str
    events: Sequence[Envelope[Any]]

    @property
    def opened_by_alarm(self) -> bool:
        """Return whether the chain has a drift alarm of mode `trigger`."""
        return any(isinstance(e.data, monitoring.DriftDetected) and e.data.mode == "trigger" for e in self.events)

    @property
    def ends(self) -> list[Envelope[Any]]:
        """Return the events that end a chain."""
        return [event for event in self.events if isinstance(event.data, _ENDS)]

    def to_json(self) -> list[dict[str, Any]]:
        return [as_json(event) for event in self.events]


def chains(history: LoopHistory) -> list[Chain]:
    """Return every chain that has a reason to train or a release, oldest first."""
    kept = [
        Chain(name, events)
        for name, events in history.chains.items()
        if any(isinstance(event.data, _REASONS) for event in events)
    ]
    return sorted(kept, key=lambda chain: chain.events[0].wall_time_ms)


def promotion_chain(history: LoopHistory) -> list[Envelope[Any]]:
    """Return the causes from a drift alarm to the first promotion that it led to, oldest first; else an empty list."""
    for promotion in history.of_kind(registry.ChampionPromoted):
        path: list[Envelope[Any]] = [promotion]
        while (cause := history.events.get(path[0].causation_id or "")) is not None:
            path.insert(0, cause)
        for start, event in enumerate(path):
            if isinstance(event.data, monitoring.DriftDetected):
                return path[start:]
    return []


def unended(history: LoopHistory) -> list[str]:
    """Return correlation ids of alarm chains without an end, except those whose reason waits for a later request."""
    waiting = {event.data.reason.event_id for event in history.of_kind(training.ReasonCoalesced)}
    return [
        chain.correlation_id
        for chain in chains(history)
        if chain.opened_by_alarm and not chain.ends and not any(event.id in waiting for event in chain.events)
    ]


def as_json(event: Envelope[Any]) -> dict[str, Any]:
    """Return an event as JSON."""
    return {
        "id": event.id,
        "type": event.type,
        "causationid": event.causation_id,
        "correlationid": event.correlation_id,
        "evidence_ids": list(getattr(event.data, "evidence_ids", ())),
        "event_time": rfc3339(event.time_ms),
        "wall_time": rfc3339(event.wall_time_ms),
    }
