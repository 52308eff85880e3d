"""Serving periods: which releases answered at what time, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import serving_pb2 as serving
from driftloop.events.envelope import Envelope
from driftloop.readmodel.attempts import of_kind, of_loop
from driftloop.readmodel.event_text import COMMANDS
from driftloop.readmodel.loops import ENDED

ITSELF = "driftloop"
"""Name of the actor of events that no user command caused."""


@dataclass(frozen=True)
class ServingPeriod:
    """One route epoch and the releases that answered in it.

    Times are event time in UTC milliseconds, except `converged_wall_ms`.
    """

    loop: str
    epoch: int
    champion: str
    """Empty if no release answered."""
    challenger: str
    stage: str
    """Stage of the challenger; `champion` without a challenger."""
    share: float
    """Share of keys that the challenger answered."""
    since_ms: int
    until_ms: int | None
    """None for the current period."""
    converged_wall_ms: int | None
    """Wall-clock time at which the router first served this epoch."""
    because: str
    who: str
    cause_id: str
    """Id of the event that caused the epoch."""


def serving_periods(events: Iterable[Envelope[Any]], loop: str) -> list[ServingPeriod]:
    """Return every serving period of a loop, oldest first."""
    own = of_loop(events, loop)
    by_id = {event.id: event for event in own}
    entered: dict[int, list[Envelope[registry.StageEntered]]] = {}
    converged: dict[int, int] = {}
    for stage in of_kind(own, registry.StageEntered):
        entered.setdefault(stage.data.epoch, []).append(stage)
    for route in of_kind(own, serving.RouteConverged):
        converged.setdefault(route.data.epoch, route.wall_time_ms)
    epochs = sorted(entered)
    starts = {epoch: min(event.time_ms for event in entered[epoch]) for epoch in epochs}
    return [
        _serving_period(loop, epoch, entered[epoch], starts.get(following), converged.get(epoch), by_id)
        for epoch, following in zip(epochs, [*epochs[1:], -1], strict=False)
    ]


def live_at(periods: Sequence[ServingPeriod], time_ms: int) -> ServingPeriod | None:
    """Return the serving period at an event time; None before the first champion.

    Of periods with the same start, the newest wins.
    """
    return next((period for period in reversed(periods) if period.since_ms <= time_ms), None)


def who_did(event: Envelope[Any] | None) -> str:
    """Return the user who sent a command; `ITSELF` for any other event."""
    return event.data.who if event is not None and isinstance(event.data, COMMANDS) else ITSELF


def _serving_period(
    loop: str,
    epoch: int,
    entered: list[Envelope[registry.StageEntered]],
    until_ms: int | None,
    converged_wall_ms: int | None,
    by_id: dict[str, Envelope[Any]],
) -> ServingPeriod:
    challenger = next((event.data for event in entered if event.data.stage not in ENDED), None)
    decisive = _decisive(entered)
    return ServingPeriod(
        loop=loop,
        epoch=epoch,
        champion=decisive.data.champion_release_id,
        challenger=challenger.release_id if challenger else "",
        stage=challenger.stage if challenger else "champion",
        share=challenger.share if challenger else 0.0,
        since_ms=min(event.time_ms for event in entered),
        until_ms=until_ms,
        converged_wall_ms=converged_wall_ms,
        because=decisive.data.reason,
        who=who_did(by_id.get(decisive.causation_id or "")),
        cause_id=decisive.causation_id or "",
    )


_PRECEDENCE = ("rolled-back", "rejected", "shadow", "canary", "champion", "retired")


def _decisive(entered: list[Envelope[registry.StageEntered]]) -> Envelope[registry.StageEntered]:
    """Return the event that gives the epoch its reason.

    A rejection or rollback comes before the champion that returns, a promotion before the release that it retires.
    """
    return min(entered, key=lambda event: (_PRECEDENCE.index(event.data.stage), event.id))
