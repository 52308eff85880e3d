"""Plots as SVG text, to stand inside one HTML file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import matplotlib as mpl
import matplotlib.dates
from markupsafe import Markup
from matplotlib.axes import Axes

from driftloop.ops.report import canvas
from driftloop.ops.report.annotations import Mark
from driftloop.ops.report.canvas import BAD, COLOURS, GOOD, LINE, NEUTRAL
from driftloop.ops.report.drift import Point, Readings, parts

_RULE_OF_THUMB = (0.1, 0.25)
"""Where a stability index is taken as a small and as a large shift (Siddiqi, Credit Risk Scorecards, 2006)."""
_LEAST_INDEX = 1e-3
"""A smaller one is drawn here."""


def loss_over_time(quality: Sequence[dict[str, Any]], marks: Sequence[Mark]) -> Markup:
    """Mean loss a window by release, with what happened marked."""
    drawn, [axes] = canvas.figure(4.2)
    _by_release(axes, quality, "loss")
    _finish(axes, marks, "mean loss of a window")
    canvas.legend(drawn, axes)
    return canvas.svg(drawn, "Mean loss of each window, by release", _told(quality, "loss", marks))


def calibration(quality: Sequence[dict[str, Any]], marks: Sequence[Mark]) -> Markup:
    """Mean score less mean outcome (of several classes: confidence less accuracy), a block, by release.

    Zero is calibrated.
    """
    drawn, [axes] = canvas.figure(3.4)
    axes.axhline(0.0, color=LINE, linewidth=0.8)
    _by_release(axes, quality, "residual")
    _finish(axes, marks, "score less outcome")
    canvas.legend(drawn, axes)
    return canvas.svg(drawn, "Mean score less mean outcome of each window", _told(quality, "residual", marks))


def verdicts(releases: Sequence[dict[str, Any]]) -> Markup:
    """Last verdict of every stage of every release that rests on blocks: gain over the champion with its interval."""
    rows = [(release["id"], verdict) for release in releases for verdict in _last_by_stage(release["verdicts"])]
    labels = [f"{name} {v['stage']} ({v['blocks']} blocks): {v['outcome']}" for name, v in rows]
    told = [f"{label}, {_interval(verdict)}" for label, (_, verdict) in zip(labels, rows, strict=True)]
    return _intervals("Gain of each challenger over the champion", labels, [verdict for _, verdict in rows], told)


def slices(found: Sequence[dict[str, Any]]) -> Markup:
    """Gain over the champion by slice, with its interval; each needs ``name``, ``estimate``, ``lower``, ``upper``."""
    labels = [f"{each['name']} ({each['rows']:,} rows)" for each in found]
    told = [f"{each['name']}: {_interval(each)}" for each in found]
    return _intervals("Gain over the champion by slice", labels, found, told)


def drift(readings: Sequence[Readings], marks: Sequence[Mark]) -> Markup:
    """Each detector's statistic over time against its threshold, with its alarms."""
    drawn, rows = canvas.figure(0.6 + 1.7 * len(readings), len(readings))
    for axes, each in zip(rows, readings, strict=True):
        _reading(axes, each)
        canvas.draw_marks(axes, [mark for mark in marks if mark.kind == "promoted"], named=False)
        canvas.over_time(axes)
    told = "; ".join(f"{each.detector}: {len(each.alarms)} alarms above {each.threshold:g}" for each in readings)
    return canvas.svg(drawn, "Statistic of each detector against its threshold", told)


def stability(series: Mapping[str, Sequence[Point]], marks: Sequence[Mark]) -> Markup:
    """Population stability index of some inputs over time, on a scale of powers of ten."""
    drawn, [axes] = canvas.figure(4.2)
    axes.set_yscale("log")
    for number, (name, points) in enumerate(series.items()):
        for part in parts(points):
            line = [(point.at, max(point.value, _LEAST_INDEX)) for point in part]
            _line(axes, line, number, name if part[0] is points[0] else "")
    for level in _RULE_OF_THUMB:
        axes.axhline(level, color=NEUTRAL, linewidth=0.9, linestyle=":")
    _finish(axes, [mark for mark in marks if mark.kind in ("alarm", "promoted")], "stability index")
    canvas.legend(drawn, axes)
    told = "; ".join(f"{name}: at most {max(point.value for point in points):.2f}" for name, points in series.items())
    return canvas.svg(drawn, "Stability index of the inputs that moved most", told)


def _reading(axes: Axes, readings: Readings) -> None:
    shown = [min(point.value, readings.ceiling) for point in readings.points]
    for part in parts(readings.points):
        values = [min(point.value, readings.ceiling) for point in part]
        axes.plot([_day(point.at) for point in part], values, color=COLOURS[0], linewidth=1.2, marker=".", markersize=3)
    axes.axhline(readings.threshold, color=BAD, linewidth=0.9, linestyle=":")
    for alarm in readings.alarms:
        axes.plot(_day(alarm.at), min(alarm.value, readings.ceiling), "v", color=BAD, markersize=8)
    axes.set_ylim(bottom=min([0.0, *shown]) * 1.1, top=max([readings.threshold, *shown]) * 1.2)
    axes.set_title(f"{readings.detector}: {readings.kind or 'alarms only'}, {readings.mode}", fontsize=9, loc="left")


def _intervals(title: str, labels: Sequence[str], found: Sequence[dict[str, Any]], told: Sequence[str]) -> Markup:
    drawn, [axes] = canvas.figure(0.9 + 0.34 * max(1, len(found)))
    for at, each in enumerate(found):
        colour = {"passed": GOOD, "failed": BAD}.get(each.get("outcome", ""), NEUTRAL)
        axes.plot([each["lower"], each["upper"]], [at, at], color=colour, linewidth=2.5)
        axes.plot(each["estimate"], at, "o", color=colour)
    axes.axvline(0.0, color=LINE, linewidth=0.8)
    axes.set_yticks(range(len(found)), labels, fontsize=9)
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_xlabel("champion's loss less challenger's: right of zero the challenger is better")
    return canvas.svg(drawn, title, "; ".join(told) or "none")


def _interval(each: dict[str, Any]) -> str:
    return f"{each['estimate']:+.4f} from {each['lower']:+.4f} to {each['upper']:+.4f}"


def _last_by_stage(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    last = {verdict["stage"]: verdict for verdict in found if verdict["blocks"]}
    return list(last.values())


def _by_release(axes: Axes, quality: Iterable[dict[str, Any]], value: str) -> None:
    series: dict[str, list[tuple[datetime, float]]] = defaultdict(list)
    for row in quality:
        series[row["release"]].append((datetime.fromisoformat(row["window_end"]), row[value]))
    for number, (release, points) in enumerate(series.items()):
        _line(axes, points, number, release)


def _line(axes: Axes, points: Sequence[tuple[datetime, float]], number: int, name: str) -> None:
    colour = COLOURS[number % len(COLOURS)]
    axes.plot(
        [_day(at) for at, _ in points],
        [value for _, value in points],
        color=colour,
        linewidth=1.1,
        marker=".",
        markersize=3,
        label=name,
    )


def _day(moment: datetime) -> float:
    """Where a moment stands across."""
    return float(mpl.dates.date2num(moment))


def _finish(axes: Axes, marks: Sequence[Mark], label: str) -> None:
    canvas.draw_marks(axes, marks)
    canvas.over_time(axes)
    axes.set_ylabel(label)


def _told(quality: Sequence[dict[str, Any]], value: str, marks: Sequence[Mark]) -> str:
    """What a plot over time shows, in words."""
    if not quality:
        return "No window has outcomes yet."
    by_release: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in quality:
        by_release[row["release"]].append(row)
    parts = [
        f"{name}: {len(rows)} windows from {rows[0]['window_end'][:10]} to {rows[-1]['window_end'][:10]}, "
        f"mean {sum(row[value] for row in rows) / len(rows):.4f}"
        for name, rows in by_release.items()
    ]
    happened = [f"{mark.at:%Y-%m-%d} {mark.text}" for mark in canvas.merged(marks)]
    return "; ".join(parts) + (f". Marked: {'; '.join(happened)}." if happened else ".")
