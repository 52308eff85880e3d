"""What was live when, for whom, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import serving_pb2 as serving
from driftloop.events.envelope import Envelope
from driftloop.readmodel.event_text import COMMANDS
from driftloop.readmodel.loops import ENDED

ITSELF = "driftloop"
"""Who did what no person asked for."""


@dataclass(frozen=True)
class ServingPeriod:
    """An epoch: who answered. Times are event time, UTC milliseconds, but for `converged_wall_ms`."""

    loop: str
    epoch: int
    champion: str
    """Empty where nobody answered."""
    challenger: str
    stage: str
    """Of the challenger; `champion` where there is none."""
    share: float
    """Of keys that the challenger answered."""
    since_ms: int
    until_ms: int | None
    """None where it goes on."""
    converged_wall_ms: int | None
    """When the router was seen to answer so."""
    because: str
    who: str
    cause_id: str
    """The event that led to it."""


def serving_periods(events: Iterable[Envelope[Any]], loop: str) -> list[ServingPeriod]:
    """Every epoch of a loop, oldest first."""
    own = [event for event in events if event.loop == loop]
    known = {event.id: event for event in own}
    entered: dict[int, list[Envelope[registry.StageEntered]]] = {}
    converged: dict[int, int] = {}
    for event in own:
        if isinstance(event.data, registry.StageEntered):
            entered.setdefault(event.data.epoch, []).append(event)
        elif isinstance(event.data, serving.RouteConverged):
            converged.setdefault(event.data.epoch, event.wall_time_ms)
    epochs = sorted(entered)
    begins = {epoch: min(each.time_ms for each in entered[epoch]) for epoch in epochs}
    return [
        _tenure(loop, epoch, entered[epoch], begins.get(after), converged.get(epoch), known)
        for epoch, after in zip(epochs, [*epochs[1:], -1], strict=False)
    ]


def live_at(found: Sequence[ServingPeriod], time_ms: int) -> ServingPeriod | None:
    """Who answered at a moment of event time; None before the first champion.

    Where epochs begin at the same moment the newest counts.
    """
    return next((each for each in reversed(found) if each.since_ms <= time_ms), None)


def who_did(event: Envelope[Any] | None) -> str:
    """The person behind an event, or `ITSELF`."""
    return event.data.who if event is not None and isinstance(event.data, COMMANDS) else ITSELF


def _tenure(
    loop: str,
    epoch: int,
    entered: list[Envelope[registry.StageEntered]],
    until_ms: int | None,
    converged_wall_ms: int | None,
    known: dict[str, Envelope[Any]],
) -> ServingPeriod:
    """The releases that entered a stage in one epoch: an open one is the challenger; what ended says why."""
    challenger = next((each.data for each in entered if each.data.stage not in ENDED), None)
    told = _telling(entered)
    return ServingPeriod(
        loop=loop,
        epoch=epoch,
        champion=told.data.champion_release_id,
        challenger=challenger.release_id if challenger else "",
        stage=challenger.stage if challenger else "champion",
        share=challenger.share if challenger else 0.0,
        since_ms=min(each.time_ms for each in entered),
        until_ms=until_ms,
        converged_wall_ms=converged_wall_ms,
        because=told.data.reason,
        who=who_did(known.get(told.causation_id or "")),
        cause_id=told.causation_id or "",
    )


_TOLD_FIRST = ("rolled-back", "rejected", "shadow", "canary", "champion", "retired")


def _telling(entered: list[Envelope[registry.StageEntered]]) -> Envelope[registry.StageEntered]:
    """The event whose reason is the epoch's: an end before a return, a promotion before the one it retires."""
    return min(entered, key=lambda each: (_TOLD_FIRST.index(each.data.stage), each.id))
