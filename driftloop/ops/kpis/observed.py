"""Counts and times observed in a period of a loop: the input of the KPIs.

A result counts in the period in which it completes; its causes may be earlier.
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
    """Times and counts of a period; `+` adds those of several loops."""

    span_ms: int = 0
    """Part of the period covered by events, in event time."""
    alarms: int = 0
    watched: int = 0
    """Alarms of mode `watch`."""
    superseded: int = 0
    open_alarms: int = 0
    """Alarms that are neither repaired by the end of the period nor superseded."""
    rollbacks: int = 0
    failed_runs: int = 0
    helped: int = 0
    """Runs whose release was promoted and not rolled back by the end of the period."""
    defects: int = 0
    """Runs whose release was rejected or rolled back."""
    promotions: int = 0
    untouched: int = 0
    """Unattended promotions: no user command in their chain."""
    detect_s: tuple[float, ...] = ()
    """Event time."""
    to_request: tuple[Took, ...] = ()
    to_run: tuple[Took, ...] = ()
    to_scoring: tuple[Took, ...] = ()
    repair: tuple[Took, ...] = ()
    cycle: tuple[Took, ...] = ()

    def __add__(self, other: Observed) -> Observed:
        return Observed(
            **{field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(self)}
        )


def observe(events: Sequence[Envelope[Any]], period: Period) -> Observed:
    """Return what one loop's events show in a period.

    Events after the period only extend `span_ms`.
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
    """Return the first and last event time; a window starts before its event."""
    starts = [event.data.start_ms for event in of_kind(events, monitoring.WindowClosed)]
    times = [event.time_ms for event in events]
    return min([*starts, *times]), max(times)
