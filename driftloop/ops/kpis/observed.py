"""What happened in a period of a loop, one by one: the numbers are made of it.

Each thing counts in the period in which it came to its end; what led to it may lie before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.events.envelope import Envelope
from driftloop.ops.kpis.period import Period
from driftloop.ops.kpis.spread import Took
from driftloop.readmodel.attempts import Attempt, Incident, attempts, incidents, of_kind


@dataclass(frozen=True)
class Observed:
    """Lists and counts, to be added up over loops."""

    span_ms: int = 0
    """Event time of the period in which there are events."""
    alarms: int = 0
    watched: int = 0
    """Alarms that only tell."""
    superseded: int = 0
    open_alarms: int = 0
    """Alarms with no promotion by the end of the period that are not superseded."""
    rollbacks: int = 0
    failed_runs: int = 0
    helped: int = 0
    """Runs whose release was promoted, and not rolled back by the end of the period."""
    defects: int = 0
    """Runs whose release was rejected or rolled back."""
    promotions: int = 0
    untouched: int = 0
    """Promotions with no command in their chain."""
    detect_s: tuple[float, ...] = ()
    """Event time."""
    to_request: tuple[Took, ...] = ()
    to_run: tuple[Took, ...] = ()
    to_scoring: tuple[Took, ...] = ()
    repair: tuple[Took, ...] = ()
    cycle: tuple[Took, ...] = ()

    def __add__(self, other: Observed) -> Observed:
        return Observed(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})


def observe(events: Sequence[Envelope[Any]], period: Period) -> Observed:
    """What happened in a period to the one loop whose events these are.

    Of what came after the period nothing is looked at but that event time went on.
    """
    known = [event for event in events if period.is_known(event.time_ms)]
    if not known:
        return Observed()
    runs = attempts(known)
    alarms = incidents(known, runs)
    own = [each for each in alarms if period.holds(each.alarm.time_ms)]
    drift = [each for each in of_kind(known, monitoring.DriftDetected) if period.holds(each.time_ms)]
    return Observed(
        span_ms=period.clip_ms(*_ends(events)),
        alarms=len(own),
        watched=len(drift) - len(own),
        superseded=sum(each.superseded for each in own),
        open_alarms=sum(each.repaired is None and not each.superseded for each in alarms),
        rollbacks=sum(period.holds(each.time_ms) for each in of_kind(known, registry.ReleaseRolledBack)),
        failed_runs=sum(each.failed is not None and period.holds(each.failed.time_ms) for each in runs),
        helped=sum(_helped(each, period) for each in runs),
        defects=sum(run.defect is not None and period.holds(run.defect.time_ms) for run in runs),
        promotions=len(promoted := _promoted(runs, period)),
        untouched=sum(not each.commands for each in promoted),
        detect_s=tuple((each.alarm.time_ms - each.began_ms) / 1000 for each in own if each.began_ms is not None),
        **_times(alarms, promoted, period),
    )


def _times(alarms: Sequence[Incident], promoted: Sequence[Attempt], period: Period) -> dict[str, Any]:
    answered = [(each.alarm, each.attempt) for each in alarms if each.attempt is not None]
    return {
        "to_request": _took([(alarm, run.request) for alarm, run in answered], period),
        "to_run": _took([(alarm, run.started) for alarm, run in answered], period),
        "to_scoring": _took([(alarm, run.scoring) for alarm, run in answered], period),
        "repair": _took([(each.alarm, each.repaired) for each in alarms], period),
        "cycle": _took([(each.request, each.promoted) for each in promoted], period),
    }


def _took(pairs: Sequence[tuple[Envelope[Any], Envelope[Any] | None]], period: Period) -> tuple[Took, ...]:
    return tuple(Took.between(first, last) for first, last in pairs if last is not None and period.holds(last.time_ms))


def _promoted(runs: Sequence[Attempt], period: Period) -> list[Attempt]:
    return [each for each in runs if each.promoted is not None and period.holds(each.promoted.time_ms)]


def _helped(run: Attempt, period: Period) -> bool:
    return run.promoted is not None and run.defect is None and period.holds(run.promoted.time_ms)


def _ends(events: Sequence[Envelope[Any]]) -> tuple[int, int]:
    """First and last event time that the events tell of: a window begins before its event."""
    starts = [event.data.start_ms for event in of_kind(events, monitoring.WindowClosed)]
    times = [event.time_ms for event in events]
    return min([*starts, *times]), max(times)
