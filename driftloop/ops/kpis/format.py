"""The numbers as people read them; one wording for the terminal and for the page."""

from __future__ import annotations

from dataclasses import dataclass

from driftloop.ops.kpis.measure import Kpis, Timing
from driftloop.ops.kpis.spread import Share, Spread

NONE_YET = "none yet"

_UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))


@dataclass(frozen=True, slots=True)
class Row:
    """One number."""

    name: str
    event_time: str
    wall_time: str
    """Empty where only event time counts."""
    of: str
    """What it rests on."""


def rows(kpis: Kpis) -> list[Row]:
    """All numbers, in the order in which things happen."""
    seen = kpis.observed
    detect = kpis.time_to_detect
    frequency = kpis.promotions_per_30_days
    return [
        Row("time to detect", _spread(detect), "", _count(detect.count if detect else 0, "alarm")),
        _timing("time to request", kpis.time_to_request, "alarm"),
        _timing("time to run", kpis.time_to_run, "alarm"),
        _timing("time to scoring", kpis.time_to_scoring, "alarm"),
        _timing("time to repair", kpis.time_to_repair, "alarm", _open(seen.open_alarms)),
        Row("defect rate", _share(kpis.defects), "", _defects(kpis)),
        Row("unattended promotions", _share(kpis.without_hand), "", _count(seen.promotions, "promotion")),
        Row(
            "deployment frequency",
            NONE_YET if frequency is None else f"{frequency:.2g} per 30 d",
            "",
            f"{_count(seen.promotions, 'promotion')} in {span(seen.span_ms / 1000)}",
        ),
        _timing("cycle time", kpis.cycle_time, "promotion"),
    ]


def span(seconds: float) -> str:
    """A length of time in its largest unit that gives a whole number or more."""
    for length, unit in _UNITS:
        if abs(seconds) >= length:
            return f"{seconds / length:.3g} {unit}"
    return "0 s" if seconds == 0 else f"{seconds * 1000:.3g} ms"


def _timing(name: str, timing: Timing | None, noun: str, more: str = "") -> Row:
    if timing is None:
        return Row(name, NONE_YET, NONE_YET, _count(0, noun) + more)
    count = _count(timing.event_s.count, noun) + more
    return Row(name, _spread(timing.event_s), _spread(timing.wall_s), count)


def _spread(found: Spread | None) -> str:
    if found is None:
        return NONE_YET
    return span(found.p50) if found.count == 1 else f"p50 {span(found.p50)}, p90 {span(found.p90)}"


def _share(share: Share) -> str:
    return NONE_YET if share.value is None else f"{share.value:.0%}"


def _defects(kpis: Kpis) -> str:
    seen, share = kpis.observed, kpis.defects
    parts = [f"{share.part} of {_count(share.whole, 'release')}", _count(seen.rollbacks, "rollback")]
    return ", ".join([*parts, *([f"{_count(seen.failed_runs, 'run')} failed"] if seen.failed_runs else [])])


def _open(count: int) -> str:
    return f", {count} open" if count else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
