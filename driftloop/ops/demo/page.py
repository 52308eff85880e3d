"""The demo's page: one self-contained HTML file from a report's numbers and its events."""

from __future__ import annotations

from typing import Any

from driftloop.ops.report import figures
from driftloop.ops.report.effect import before_and_after
from driftloop.ops.report.numbers import numbers
from driftloop.ops.report.page import page
from driftloop.readmodel.event_text import describe, describe_data
from driftloop.readmodel.loop_history import LoopHistory


def render(report: dict[str, Any], history: LoopHistory, headline: str, summary: str) -> str:
    """Return the page."""
    events = history.events
    marks, chain = figures.marks_of(events.values()), report["chain"]
    ends = (events[chain[0]["id"]], events[chain[-1]["id"]]) if chain else None
    return page(
        "report.html.j2",
        loop_name=history.loop,
        headline=headline,
        summary=summary,
        lines=[line for event in events.values() if (line := describe(event))],
        figures={
            "loss": figures.loss_over_time(report["quality"], marks),
            "calibration": figures.calibration(report["quality"], marks),
            "verdicts": figures.verdicts(report["releases"]),
        },
        before_after=before_and_after(report["quality"], *ends) if ends else [],
        chain=[{**link, "line": describe_data(events[link["id"]].data)} for link in chain],
        checks=report["checks"],
        kills=report["kills"],
        numbers=numbers(report),
    )
