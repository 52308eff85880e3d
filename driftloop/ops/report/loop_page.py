"""The page of a loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from driftloop.events.envelope import Envelope
from driftloop.loop import LoopDefinition
from driftloop.ops.kpis import Kpis, Period, observe
from driftloop.ops.kpis.format import rows
from driftloop.ops.report import drift, figures
from driftloop.ops.report.page import page
from driftloop.ops.report.picture import chain_picture
from driftloop.readmodel.attempts import incidents, of_loop
from driftloop.readmodel.event_text import describe
from driftloop.readmodel.loop_history import LoopHistory

_INCIDENTS = 10
"""So many of the newest are shown whole."""
_MOVED = 5


def loop_page(told: dict[str, Any], events: Sequence[Envelope[Any]], definition: LoopDefinition | None) -> str:
    """The page; ``told`` is the loop's `overview` of the same events and definition."""
    own = of_loop(events, told["loop"])
    marks = figures.marks_of(own)
    history = LoopHistory(told["loop"], own)
    found = incidents(history)
    drawn = [{**each, "picture": chain_picture(one, own)} for each, one in zip(told["incidents"], found, strict=True)]
    readings = [each for each in drift.readings(own, definition) if each.points or each.alarms]
    moved = {each.name: each.points for each in drift.stability(own)[:_MOVED]}
    return page(
        "loop.html.j2",
        told=told,
        headline=headline(told),
        incidents=drawn[::-1][:_INCIDENTS],
        older=max(0, len(drawn) - _INCIDENTS),
        kpis=rows(Kpis(observe(history, Period()))),
        figures={
            "loss": figures.loss_over_time(told["quality"], marks),
            "calibration": figures.calibration(told["quality"], marks),
            "detectors": [figures.detector(detector, marks) for detector in readings],
            "stability": figures.stability(moved, marks) if moved else None,
            "verdicts": figures.verdicts(told["releases"]),
        },
        has_verdicts=any(verdict["blocks"] for each in told["releases"] for verdict in each["verdicts"]),
        outcomes=[(name, f"{count:,}") for name, count in told["outcomes"].items()],
        lines=[line for event in own if (line := describe(event))],
    )


def headline(told: dict[str, Any]) -> str:
    """The loop's state in half a line."""
    if not told["incidents"]:
        return "no alarm asked for a retrain"
    last = told["incidents"][-1]
    words = {
        "promoted": "answered by a promotion",
        "rejected": "answered by a release that was refused",
        "rolled back": "answered by a release that was taken back",
        "failed": "answered by a run that failed",
        "superseded": "about a release that was champion no more",
    }
    count = len(told["incidents"])
    alarms = "one alarm" if count == 1 else f"{count} alarms, the last"
    open_now = f"still open ({last['state']})"
    return f"{alarms} {words.get(last['state'], open_now)}"
