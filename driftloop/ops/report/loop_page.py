"""The page of a loop."""

from __future__ import annotations

from typing import Any

from driftloop.loop import LoopDefinition
from driftloop.ops.kpis import Kpis, Period, observe
from driftloop.ops.kpis.format import rows
from driftloop.ops.report import drift, figures
from driftloop.ops.report.page import page
from driftloop.ops.report.picture import chain_picture
from driftloop.readmodel.attempts import incidents
from driftloop.readmodel.event_text import describe
from driftloop.readmodel.loop_history import LoopHistory

_INCIDENTS = 10
"""Number of newest incidents on the page."""
_MOVED = 5


def loop_page(overview: dict[str, Any], history: LoopHistory, definition: LoopDefinition | None) -> str:
    """Return the page. ``overview`` is that of the same history and definition."""
    marks = figures.marks_of(history.events.values())
    shown = list(zip(overview["incidents"], incidents(history), strict=True))[::-1][:_INCIDENTS]
    readings = [detector for detector in drift.readings(history, definition) if detector.points or detector.alarms]
    moved = {input_.name: input_.points for input_ in drift.stability(history)[:_MOVED]}
    return page(
        "loop.html.j2",
        overview=overview,
        headline=headline(overview),
        incidents=[{**answers, "picture": chain_picture(incident, history)} for answers, incident in shown],
        older=len(overview["incidents"]) - len(shown),
        kpis=rows(Kpis(observe(history, Period()))),
        figures={
            "loss": figures.loss_over_time(overview["quality"], marks),
            "calibration": figures.calibration(overview["quality"], marks),
            "detectors": [figures.detector(detector, marks) for detector in readings],
            "stability": figures.stability(moved, marks) if moved else None,
            "verdicts": figures.verdicts(overview["releases"]),
        },
        has_verdicts=any(verdict["blocks"] for release in overview["releases"] for verdict in release["verdicts"]),
        outcomes=[(name, f"{count:,}") for name, count in overview["outcomes"].items()],
        lines=[line for event in history.events.values() if (line := describe(event))],
    )


def headline(overview: dict[str, Any]) -> str:
    """Return the loop's state in half a line."""
    if not overview["incidents"]:
        return "no alarm asked for a retrain"
    last = overview["incidents"][-1]
    words = {
        "promoted": "answered by a promotion",
        "rejected": "answered by a release that was rejected",
        "rolled back": "answered by a release that was rolled back",
        "failed": "answered by a run that failed",
        "superseded": "about a release that is no longer champion",
    }
    count = len(overview["incidents"])
    alarms = "one alarm" if count == 1 else f"{count} alarms, the last"
    open_now = f"still open ({last['state']})"
    return f"{alarms} {words.get(last['state'], open_now)}"
