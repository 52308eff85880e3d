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
from driftloop.readmodel.attempts import Attempt, Incident, attempts, incidents
from driftloop.readmodel.loop_history import LoopHistory


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


def observe(history: LoopHistory, period: Period) -> Observed:
    """Return what the history of a loop shows in a period.

    Events after the period only extend `span_ms`.
    """
    known = LoopHistory(history.loop, (event for event in history.events.values() if period.is_known(event.time_ms)))
    if not known.events:
        return Observed()
    runs, alarms = attempts(known), incidents(known)
    own = [incident for incident in alarms if period.holds(incident.alarm.time_ms)]
    drift = [event for event in known.of_kind(monitoring.DriftDetected) if period.holds(event.time_ms)]
    return Observed(
        span_ms=period.clip_ms(*history.span_ms()),
        alarms=len(own),
        watched=len(drift) - len(own),
        superseded=sum(incident.superseded for incident in own),
        open_alarms=sum(incident.repaired is None and not incident.superseded for incident in alarms),
        rollbacks=sum(period.holds(event.time_ms) for event in known.of_kind(registry.ReleaseRolledBack)),
        failed_runs=sum(run.failed is not None and period.holds(run.failed.time_ms) for run in runs),
        helped=sum(_helped(run, period) for run in runs),
        defects=sum(run.defect is not None and period.holds(run.defect.time_ms) for run in runs),
        promotions=len(promoted := _promoted(runs, period)),
        untouched=sum(not run.commands for run in promoted),
        detect_s=_detect_s(own),
        **_times(alarms, promoted, period),
    )


def _detect_s(own: Sequence[Incident]) -> tuple[float, ...]:
    starts = ((incident.alarm.time_ms, incident.began_ms) for incident in own)
    return tuple((alarm_ms - began_ms) / 1000 for alarm_ms, began_ms in starts if began_ms is not None)


def _times(alarms: Sequence[Incident], promoted: Sequence[Attempt], period: Period) -> dict[str, Any]:
    answered = [(incident.alarm, incident.attempt) for incident in alarms if incident.attempt is not None]
    return {
        "to_request": _took([(alarm, run.request) for alarm, run in answered], period),
        "to_run": _took([(alarm, run.started) for alarm, run in answered], period),
        "to_scoring": _took([(alarm, run.scoring) for alarm, run in answered], period),
        "repair": _took([(incident.alarm, incident.repaired) for incident in alarms], period),
        "cycle": _took([(run.request, run.promoted) for run in promoted], period),
    }


def _took(pairs: Sequence[tuple[Envelope[Any], Envelope[Any] | None]], period: Period) -> tuple[Took, ...]:
    return tuple(Took.between(first, last) for first, last in pairs if last is not None and period.holds(last.time_ms))


def _promoted(runs: Sequence[Attempt], period: Period) -> list[Attempt]:
    return [run for run in runs if run.promoted is not None and period.holds(run.promoted.time_ms)]


def _helped(run: Attempt, period: Period) -> bool:
    return run.promoted is not None and run.defect is None and period.holds(run.promoted.time_ms)
