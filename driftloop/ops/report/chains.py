"""Chains of lifecycle events: from the oldest reason to promotion, rejection or rollback. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope, rfc3339

_ENDS = (registry.ChampionPromoted, registry.ReleaseRejected, registry.ReleaseRolledBack, training.RunFailed)


@dataclass(frozen=True)
class Chain:
    """Events of one correlation id, in the order of their publication."""

    correlation_id: str
    events: tuple[Envelope[Any], ...]

    @property
    def opened_by_alarm(self) -> bool:
        """Whether a drift alarm that asks for a retrain is in it."""
        return any(isinstance(e.data, monitoring.DriftDetected) and e.data.mode == "trigger" for e in self.events)

    @property
    def ends(self) -> list[Envelope[Any]]:
        """Events that end a chain."""
        return [event for event in self.events if isinstance(event.data, _ENDS)]

    def to_json(self) -> list[dict[str, Any]]:
        """One object an event."""
        return [as_json(event) for event in self.events]


def chains(events: Iterable[Envelope[Any]], loop: str) -> list[Chain]:
    """Every chain of a loop that holds a reason to train or a release, oldest first; single windows are left out."""
    by_chain: dict[str, list[Envelope[Any]]] = defaultdict(list)
    for event in events:
        if event.loop == loop:
            by_chain[event.correlation_id].append(event)
    found = [Chain(name, tuple(members)) for name, members in by_chain.items() if _matters(members)]
    return sorted(found, key=lambda chain: chain.events[0].wall_time_ms)


def promotion_chain(events: Sequence[Envelope[Any]], loop: str) -> list[Envelope[Any]]:
    """Causes from a drift alarm to the promotion it led to, oldest first; empty where no alarm did."""
    known = {event.id: event for event in events if event.loop == loop}
    for event in events:
        if isinstance(event.data, registry.ChampionPromoted) and event.loop == loop:
            path = causes(event, known)
            alarms = [at for at, each in enumerate(path) if isinstance(each.data, monitoring.DriftDetected)]
            if alarms:
                return path[alarms[0] :]
    return []


def causes(event: Envelope[Any], known: dict[str, Envelope[Any]]) -> list[Envelope[Any]]:
    """An event with all that led to it, oldest first."""
    path = [event]
    while (cause := known.get(path[-1].causation_id or "")) is not None:
        path.append(cause)
    return path[::-1]


def unended(found: Iterable[Chain], coalesced: Iterable[Envelope[Any]]) -> list[str]:
    """Correlation ids of alarm chains with no end, other than those whose reason was kept for a later request."""
    kept = {event.data.reason.event_id for event in coalesced}
    return [
        chain.correlation_id
        for chain in found
        if chain.opened_by_alarm and not chain.ends and not any(event.id in kept for event in chain.events)
    ]


def as_json(event: Envelope[Any]) -> dict[str, Any]:
    """An event as the report shows it."""
    return {
        "id": event.id,
        "type": event.type,
        "causationid": event.causation_id,
        "correlationid": event.correlation_id,
        "evidence_ids": list(getattr(event.data, "evidence_ids", ())),
        "event_time": rfc3339(event.time_ms),
        "wall_time": rfc3339(event.wall_time_ms),
    }


def _matters(members: Sequence[Envelope[Any]]) -> bool:
    kept = (monitoring.DriftDetected, training.RetrainRequested, training.ReasonCoalesced, registry.ReleaseCreated)
    return any(isinstance(event.data, kept) for event in members)
