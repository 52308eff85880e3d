"""Values of a report's figures, for the components that `figures.js` draws them with. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from driftloop.events.envelope import Envelope, parse_rfc3339
from driftloop.ops.report.drift import Point, Readings
from driftloop.readmodel import catalogue
from driftloop.readmodel.event_text import entry_of, render, values_of

_RULE_OF_THUMB = (0.1, 0.25)
"""Stability indexes that are often called a small and a large shift (Siddiqi, Credit Risk Scorecards, 2006)."""
_LEAST_SHARE = 0.1
"""A window with a smaller share of the release's median outcomes is not drawn: a mean of few is noise."""
_GLYPHS = {
    catalogue.RESULTS[outcome]: entry.glyph
    for (kind, outcome), entry in catalogue.ENTRIES.items()
    if kind == "VerdictReached" and outcome
}


@dataclass(frozen=True)
class Figure:
    """A component's name and its values."""

    component: str
    values: dict[str, Any]


def marks_of(events: Iterable[Envelope[Any]]) -> list[dict[str, Any]]:
    """Return a mark for each event that the catalogue marks on plots: time in ms, glyph and text."""
    entries = [(event, entry_of(event.data)) for event in events]
    return [
        {"x": event.time_ms, "glyph": entry.glyph, "text": render(entry.mark, values_of(event.data))}
        for event, entry in entries
        if entry.mark
    ]


def loss_over_time(quality: Sequence[dict[str, Any]], marks: Sequence[dict[str, Any]]) -> Figure:
    """Return the mean loss of each window by release."""
    return _by_release("Mean loss of each window, by release", quality, "loss", marks)


def calibration(quality: Sequence[dict[str, Any]], marks: Sequence[dict[str, Any]]) -> Figure:
    """Return the mean score minus the mean outcome of each window by release; 0 is calibrated.

    For several classes it is the mean confidence minus the accuracy.
    """
    levels = [{"y": 0.0, "text": "calibrated"}]
    return _by_release("Mean score minus mean outcome of each window", quality, "residual", marks, levels=levels)


def verdicts(releases: Sequence[dict[str, Any]]) -> Figure:
    """Return the gain and interval of the last verdict with blocks of each release's stages."""
    return _intervals(
        {**verdict, "name": f"{release['id']} {verdict['stage']} ({verdict['blocks']} blocks): {verdict['outcome']}"}
        for release in releases
        for verdict in {verdict["stage"]: verdict for verdict in release["verdicts"] if verdict["blocks"]}.values()
    )


def slices(rows: Sequence[dict[str, Any]]) -> Figure:
    """Return the gain and interval by slice; each row has ``name``, ``rows``, ``estimate``, ``lower`` and ``upper``."""
    return _intervals({**row, "name": f"{row['name']} ({row['rows']:,} rows)"} for row in rows)


def detector(readings: Readings, marks: Sequence[dict[str, Any]]) -> Figure:
    """Return a detector's statistic over time by release, its threshold, its alarms, and promotions."""
    series: dict[str, dict[int, float]] = {}
    for point in (*readings.alarms, *readings.points):
        series.setdefault(point.release, {})[point.at_ms] = min(point.value, readings.ceiling)
    alarms = [{"x": alarm.at_ms, "glyph": "alarm", "text": f"alarm {alarm.value:.2f}"} for alarm in readings.alarms]
    return _plot(
        f"{readings.detector}: {readings.kind or 'alarms only'}, {readings.mode}",
        series,
        [*alarms, *(mark for mark in marks if mark["glyph"] == "champion")],
        levels=[{"y": readings.threshold, "text": f"threshold {readings.threshold:g}"}],
        digits=2,
    )


def stability(inputs: Mapping[str, Sequence[Point]], marks: Sequence[dict[str, Any]]) -> Figure:
    """Return the population stability index of inputs over time, with alarms and promotions."""
    return _plot(
        "Stability index of the inputs that moved most",
        {name: {point.at_ms: point.value for point in points} for name, points in inputs.items()},
        [mark for mark in marks if mark["glyph"] in ("alarm", "champion")],
        levels=[{"y": level, "text": f"{level}"} for level in _RULE_OF_THUMB],
        digits=2,
    )


def _by_release(
    label: str, quality: Sequence[dict[str, Any]], value: str, marks: Sequence[dict[str, Any]], **options: Any
) -> Figure:
    counts: dict[str, list[int]] = {}
    for row in quality:
        counts.setdefault(row["release"], []).append(row["count"])
    series: dict[str, dict[int, float]] = {}
    for row in quality:
        if row["count"] >= _LEAST_SHARE * median(counts[row["release"]]):
            series.setdefault(row["release"], {})[parse_rfc3339(row["window_end"])] = row[value]
    return _plot(label, series, marks, **options)


def _plot(
    label: str, series: Mapping[str, Mapping[int, float]], marks: Sequence[dict[str, Any]], **options: Any
) -> Figure:
    """Return lines by name, each with values by time in ms."""
    times = sorted({time for values in series.values() for time in values})
    lines = [
        {"name": name, "points": [{"x": time, "y": values.get(time)} for time in times]}
        for name, values in series.items()
    ]
    return Figure("plot", {"label": label, "times": times, "series": lines, "marks": marks, **options})


def _intervals(rows: Iterable[dict[str, Any]]) -> Figure:
    return Figure("intervals", {"rows": [_interval(row) for row in rows]})


def _interval(row: dict[str, Any]) -> dict[str, Any]:
    outcome = row.get("outcome", "")
    numbers = {name: row[name] for name in ("name", "estimate", "lower", "upper")}
    return {**numbers, "outcome": outcome, "glyph": _GLYPHS.get(outcome, ""), "margin": 0}
