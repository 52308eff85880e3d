"""The demo's page: one self-contained HTML file from a report's numbers and its events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from driftloop.events.envelope import Envelope
from driftloop.ops.report import figures
from driftloop.ops.report.effect import before_and_after
from driftloop.ops.report.numbers import numbers
from driftloop.ops.report.page import page
from driftloop.readmodel.attempts import of_loop
from driftloop.readmodel.event_text import describe, describe_data


def render(loop: str, report: dict[str, Any], events: Sequence[Envelope[Any]], headline: str, summary: str) -> str:
    """Return the page."""
    own = of_loop(events, loop)
    known = {event.id: event for event in own}
    marks, chain = figures.marks_of(own), report["chain"]
    ends = (known[chain[0]["id"]], known[chain[-1]["id"]]) if chain else None
    return page(
        "report.html.j2",
        loop_name=loop,
        headline=headline,
        summary=summary,
        lines=[line for event in own if (line := describe(event))],
        figures={
            "loss": figures.loss_over_time(report["quality"], marks),
            "calibration": figures.calibration(report["quality"], marks),
            "verdicts": figures.verdicts(report["releases"]),
        },
        before_after=before_and_after(report["quality"], *ends) if ends else [],
        chain=[{**link, "line": describe_data(known[link["id"]].data)} for link in chain],
        checks=report["checks"],
        kills=report["kills"],
        numbers=numbers(report),
    )
