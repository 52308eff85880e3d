"""Texts of the KPIs, for the terminal and the page."""

from __future__ import annotations

from dataclasses import dataclass

from driftloop.ops.kpis.measure import Kpis, Timing
from driftloop.ops.kpis.spread import Share, Spread

NONE_YET = "none yet"

_UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))


@dataclass(frozen=True, slots=True)
class Row:
    """One KPI."""

    name: str
    event_time: str
    wall_time: str
    """Empty if the KPI has no wall-clock time."""
    of: str
    """The counts behind the KPI."""


def rows(kpis: Kpis) -> list[Row]:
    """Return all KPIs, from detection to promotion."""
    observed = kpis.observed
    detect = kpis.time_to_detect
    frequency = kpis.promotions_per_30_days
    return [
        Row("time to detect", _spread(detect), "", _count(detect.count if detect else 0, "alarm")),
        _timing("time to request", kpis.time_to_request, "alarm"),
        _timing("time to run", kpis.time_to_run, "alarm"),
        _timing("time to scoring", kpis.time_to_scoring, "alarm"),
        _timing("time to repair", kpis.time_to_repair, "alarm", _open(observed.open_alarms)),
        Row("defect rate", _share(kpis.defects), "", _defects(kpis)),
        Row("unattended promotions", _share(kpis.without_hand), "", _count(observed.promotions, "promotion")),
        Row(
            "deployment frequency",
            NONE_YET if frequency is None else f"{frequency:.2g} per 30 d",
            "",
            f"{_count(observed.promotions, 'promotion')} in {span(observed.span_ms / 1000)}",
        ),
        _timing("cycle time", kpis.cycle_time, "promotion"),
    ]


def span(seconds: float) -> str:
    """Return a duration in the largest unit in which it is at least 1."""
    for length, unit in _UNITS:
        if abs(seconds) >= length:
            return f"{seconds / length:.3g} {unit}"
    return "0 s" if seconds == 0 else f"{seconds * 1000:.3g} ms"


def _timing(name: str, timing: Timing | None, noun: str, more: str = "") -> Row:
    if timing is None:
        return Row(name, NONE_YET, NONE_YET, _count(0, noun) + more)
    count = _count(timing.event_s.count, noun) + more
    return Row(name, _spread(timing.event_s), _spread(timing.wall_s), count)


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return NONE_YET
    return span(spread.p50) if spread.count == 1 else f"p50 {span(spread.p50)}, p90 {span(spread.p90)}"


def _share(share: Share) -> str:
    return NONE_YET if share.value is None else f"{share.value:.0%}"


def _defects(kpis: Kpis) -> str:
    observed, share = kpis.observed, kpis.defects
    parts = [f"{share.part} of {_count(share.whole, 'release')}", _count(observed.rollbacks, "rollback")]
    return ", ".join([*parts, *([f"{_count(observed.failed_runs, 'run')} failed"] if observed.failed_runs else [])])


def _open(count: int) -> str:
    return f", {count} open" if count else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
