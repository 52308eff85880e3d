"""Serving periods: which releases answered at what time, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import serving_pb2 as serving
from driftloop.events.envelope import Envelope
from driftloop.readmodel.event_text import COMMANDS
from driftloop.readmodel.loop_history import LoopHistory
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


def serving_periods(history: LoopHistory) -> list[ServingPeriod]:
    """Return every serving period of a loop, oldest first."""
    epochs = sorted(history.entered)
    starts = {epoch: min(event.time_ms for event in history.entered[epoch]) for epoch in epochs}
    return [
        _serving_period(history, epoch, starts[epoch], starts.get(following))
        for epoch, following in pairwise([*epochs, -1])
    ]


def live_at(periods: Sequence[ServingPeriod], time_ms: int) -> ServingPeriod | None:
    """Return the serving period at an event time; None before the first champion.

    Of periods with the same start, the newest wins.
    """
    return next((period for period in reversed(periods) if period.since_ms <= time_ms), None)


def who_did(event: Envelope[Any] | None) -> str:
    """Return the user who sent a command; `ITSELF` for any other event."""
    return event.data.who if event is not None and isinstance(event.data, COMMANDS) else ITSELF


def _serving_period(history: LoopHistory, epoch: int, since_ms: int, until_ms: int | None) -> ServingPeriod:
    entered, converged = history.entered[epoch], history.first(serving.RouteConverged, "epoch", epoch)
    challenger = next((event.data for event in entered if event.data.stage not in ENDED), None)
    decisive = _decisive(entered)
    return ServingPeriod(
        loop=history.loop,
        epoch=epoch,
        champion=decisive.data.champion_release_id,
        challenger=challenger.release_id if challenger else "",
        stage=challenger.stage if challenger else "champion",
        share=challenger.share if challenger else 0.0,
        since_ms=since_ms,
        until_ms=until_ms,
        converged_wall_ms=converged.wall_time_ms if converged else None,
        because=decisive.data.reason,
        who=who_did(history.events.get(decisive.causation_id or "")),
        cause_id=decisive.causation_id or "",
    )


_STAGES = ("rolled-back", "rejected", "shadow", "canary", "champion", "retired")
_PRECEDENCE = {stage: rank for rank, stage in enumerate(_STAGES)}


def _decisive(entered: list[Envelope[registry.StageEntered]]) -> Envelope[registry.StageEntered]:
    """Return the event that gives the epoch its reason.

    A rejection or rollback comes before the champion that returns, a promotion before the release that it retires.
    """
    return min(entered, key=lambda event: (_PRECEDENCE.get(event.data.stage, len(_PRECEDENCE)), event.id))
