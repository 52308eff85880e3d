"""One self-contained HTML file out of a report's numbers and the events behind them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import training_pb2 as training
from driftloop.demo.story import tell
from driftloop.envelope import Envelope
from driftloop.report import plots

_TEMPLATE = Path(__file__).with_name("report.html.j2")


def render(loop: str, report: dict[str, Any], events: Sequence[Envelope[Any]], headline: str, summary: str) -> str:
    """The page."""
    environment = jinja2.Environment(
        autoescape=jinja2.select_autoescape(default=True), undefined=jinja2.StrictUndefined
    )
    own = [event for event in events if event.loop == loop]
    known = {event.id: event for event in own}
    quality, found = marked_plots(report, own)
    return environment.from_string(_TEMPLATE.read_text()).render(
        loop=loop,
        headline=headline,
        summary=summary,
        story=[line for event in own if (line := tell(event))],
        plots={"loss": quality[0], "calibration": quality[1], "verdicts": found},
        before_after=before_and_after(report["quality"], report["chain"], known),
        chain=[{**each, "line": tell(known[each["id"]])} for each in report["chain"]],
        checks=report["checks"],
        kills=report["kills"],
        numbers=[
            (name, report[name])
            for name in ("predictions", "outcomes", "ingestion", "feature_age_s", "timings_s", "memory_mib")
        ],
    )


def marked_plots(report: dict[str, Any], events: Sequence[Envelope[Any]]) -> tuple[tuple[Markup, ...], Any]:
    """The plots over time and the verdicts' plot, safe to stand in the page: the SVG is our own."""
    marks = [mark for event in events if (mark := _mark(event))]
    safe = Markup
    over_time = (
        safe(plots.loss_over_time(report["quality"], marks)),
        safe(plots.calibration(report["quality"], marks)),
    )
    return over_time, safe(plots.verdicts(report["releases"]))


def before_and_after(
    quality: Sequence[dict[str, Any]], chain: Sequence[dict[str, Any]], known: dict[str, Envelope[Any]]
) -> list[dict[str, Any]]:
    """The old champion from the alarm to the promotion, the new one since."""
    if not chain:
        return []
    alarm, promotion = known[chain[0]["id"]], known[chain[-1]["id"]]
    at = datetime.fromtimestamp(promotion.time_ms / 1000, tz=UTC)
    since = datetime.fromtimestamp(alarm.time_ms / 1000, tz=UTC)
    old, new = promotion.data.previous_release_id, promotion.data.release_id
    rows = defaultdict(list)
    for row in quality:
        end = datetime.fromisoformat(row["window_end"])
        if row["release"] == old and row["role"] == "champion" and since < end <= at:
            rows[f"{old}, champion from the alarm to the promotion"].append(row)
        elif row["release"] == new and row["role"] == "challenger" and end <= at:
            rows[f"{new}, as challenger on the same requests"].append(row)
        elif row["release"] == new and row["role"] == "champion" and end > at:
            rows[f"{new}, champion since"].append(row)
    return [_mean(label, members) for label, members in rows.items()]


def _mean(label: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    count = sum(row["count"] for row in rows)
    means = {name: sum(row[name] * row["count"] for row in rows) / count for name in ("loss", "residual")}
    return {"label": label, "windows": len(rows), "count": count, **means}


def _mark(event: Envelope[Any]) -> plots.Mark | None:
    at = datetime.fromtimestamp(event.time_ms / 1000, tz=UTC)
    data = event.data
    if isinstance(data, monitoring.DriftDetected) and data.mode == "trigger":
        return plots.Mark(at, "alarm", f"alarm {data.detector}")
    if isinstance(data, training.CandidateTrained):
        return plots.Mark(at, "run", "run")
    if isinstance(data, registry.StageEntered) and data.stage in ("shadow", "canary"):
        return plots.Mark(at, "stage", data.stage)
    if isinstance(data, registry.ChampionPromoted):
        return plots.Mark(at, "promoted", "promoted")
    if isinstance(data, registry.ReleaseRejected | registry.ReleaseRolledBack):
        return plots.Mark(at, "rejected", "refused")
    return None
