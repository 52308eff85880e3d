"""Plots as SVG text, to stand inside one HTML file."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import matplotlib as mpl
import matplotlib.dates
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

_COLOURS = ("#2166ac", "#b2182b", "#1b7837", "#762a83", "#e08214", "#35978f", "#525252", "#c51b7d")
_MARKS = {"alarm": "#b2182b", "run": "#999999", "stage": "#e08214", "promoted": "#1b7837", "rejected": "#762a83"}


@dataclass(frozen=True)
class Mark:
    """Something that happened, to be drawn across a plot over time."""

    at: datetime
    kind: str
    """alarm, run, stage, promoted or rejected"""
    text: str


def loss_over_time(quality: Sequence[dict[str, Any]], marks: Sequence[Mark]) -> str:
    """Mean loss a window by release, with what happened marked."""
    figure, axes = _figure(10.5, 4.2)
    _by_release(axes, quality, "loss")
    _draw_marks(axes, marks)
    axes.set_ylabel("mean loss of a window")
    return _svg(figure)


def calibration(quality: Sequence[dict[str, Any]], marks: Sequence[Mark]) -> str:
    """Mean score less mean outcome (of several classes: confidence less accuracy), a block, by release.

    Zero is calibrated.
    """
    figure, axes = _figure(10.5, 3.4)
    axes.axhline(0.0, color="#444444", linewidth=0.8)
    _by_release(axes, quality, "residual")
    _draw_marks(axes, marks)
    axes.set_ylabel("score less outcome")
    return _svg(figure)


def verdicts(releases: Sequence[dict[str, Any]]) -> str:
    """Last verdict of every stage of every release that rests on blocks: gain over the champion with its interval."""
    rows = [(release["id"], verdict) for release in releases for verdict in _last_by_stage(release["verdicts"])]
    figure, axes = _figure(10.5, 0.9 + 0.42 * max(1, len(rows)))
    for at, (_, verdict) in enumerate(rows):
        colour = {"better": "#1b7837", "worse": "#b2182b"}.get(verdict["outcome"], "#777777")
        axes.plot([verdict["lower"], verdict["upper"]], [at, at], color=colour, linewidth=2.5)
        axes.plot(verdict["estimate"], at, "o", color=colour)
    axes.axvline(0.0, color="#444444", linewidth=0.8)
    labels = [f"{name} {v['stage']} ({v['blocks']} blocks): {v['outcome'].replace('_', ' ')}" for name, v in rows]
    axes.set_yticks(range(len(rows)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("champion's loss less challenger's: right of zero the challenger is better")
    return _svg(figure)


def _last_by_stage(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    last = {verdict["stage"]: verdict for verdict in found if verdict["blocks"]}
    return list(last.values())


def _by_release(axes: Axes, quality: Sequence[dict[str, Any]], value: str) -> None:
    series: dict[str, list[tuple[datetime, float]]] = defaultdict(list)
    for row in quality:
        series[row["release"]].append((datetime.fromisoformat(row["window_end"]), row[value]))
    for number, (release, points) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.1, marker=".", markersize=3, label=release)
    if series:
        axes.legend(fontsize=8, frameon=False, loc="upper left", ncols=min(4, len(series)))


def _draw_marks(axes: Axes, marks: Sequence[Mark]) -> None:
    top = axes.get_ylim()[1]
    for mark in marks:
        at = mpl.dates.date2num(mark.at)
        axes.axvline(at, color=_MARKS[mark.kind], linewidth=0.9, linestyle="--")
        axes.text(at, top, mark.text, rotation=90, fontsize=7, va="top", ha="right", color=_MARKS[mark.kind])


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "driftloop", "svg.fonttype": "none"}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
