"""A loop's report as numbers: what changed, since when, what the system did, whether it helped. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from driftloop.events.envelope import Envelope, rfc3339
from driftloop.loop import LoopDefinition
from driftloop.ops.kpis import Kpis, Period, observe
from driftloop.ops.report import drift, releases
from driftloop.ops.report.incidents import told
from driftloop.readmodel.attempts import Attempt, attempts, incidents
from driftloop.readmodel.loop_history import LoopHistory


def overview(loop: str, events: Sequence[Envelope[Any]], definition: LoopDefinition | None) -> dict[str, Any]:
    """All that the report of a loop holds.

    ``events`` has at least one of the loop; ``definition`` is None if this checkout has no definition.
    """
    history = LoopHistory(loop, events)
    own = list(history.events.values())
    runs, quality, now = attempts(history), releases.quality(own), history.state()
    first_ms, last_ms = history.span_ms()
    return {
        "loop": loop,
        "description": definition.description if definition else None,
        "from": rfc3339(first_ms),
        "to": rfc3339(last_ms),
        "champion": now.champion,
        "open_release": now.release,
        "stage": now.stage,
        "incidents": [told(incident, history, quality) for incident in incidents(history)],
        "kpis": Kpis(observe(history, Period())).to_json(),
        "releases": [row(each, runs) for each in releases.releases(history)],
        "outcomes": releases.outcomes(own),
        "quality": quality,
        "drift": [each.to_json() for each in drift.readings(own, definition)],
        "stability": {each.name: each.to_json() for each in drift.stability(own)},
    }


def row(release: dict[str, Any], runs: Sequence[Attempt]) -> dict[str, Any]:
    """A release with what asked for it and what it was trained on."""
    run = next((each for each in runs if each.release_id == release["id"]), None)
    if run is None or run.trained is None:
        return {**release, "reasons": [], "run": None, "rows": None, "data": None, "metrics": {}}
    asked, trained = run.request.data, run.trained.data
    return {
        **release,
        "reasons": [reason.kind for reason in asked.reasons],
        "run": trained.run_id,
        "rows": trained.training_rows,
        "data": {"start": rfc3339(asked.window_start_ms), "end": rfc3339(asked.window_end_ms)},
        "metrics": dict(trained.metrics),
    }
