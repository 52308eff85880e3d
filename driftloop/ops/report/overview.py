"""A loop's report as numbers: what changed, since when, what the system did, whether it helped. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from driftloop.events.envelope import rfc3339
from driftloop.loop import LoopDefinition
from driftloop.ops.kpis import Kpis, Period, observe
from driftloop.ops.report import drift, releases
from driftloop.ops.report.incidents import answers
from driftloop.readmodel.attempts import Attempt, attempts, incidents
from driftloop.readmodel.loop_history import LoopHistory
from driftloop.readmodel.slices import slice_quality


def overview(history: LoopHistory, definition: LoopDefinition | None) -> dict[str, Any]:
    """Return the content of a loop's report. ``history`` has events; ``definition`` is None without one here."""
    runs, quality, now = attempts(history), releases.quality(history), history.state()
    first_ms, last_ms = history.span_ms()
    slices = definition.monitoring.slices if definition else {}
    closed = (event.data for event in history.closed_windows())
    by_slice = slice_quality(closed, now.champion, {name: rule.min_rows for name, rule in slices.items()})
    return {
        "loop": history.loop,
        "description": definition.description if definition else None,
        "from": rfc3339(first_ms),
        "to": rfc3339(last_ms),
        "champion": now.champion,
        "open_release": now.release,
        "stage": now.stage,
        "incidents": [answers(incident, history, quality) for incident in incidents(history)],
        "kpis": Kpis(observe(history, Period())).to_json(),
        "releases": [_row(release, runs) for release in releases.releases(history)],
        "outcomes": releases.outcomes(history),
        "quality": quality,
        "slices": [slice_.to_json() for slice_ in by_slice],
        "silent": [asdict(detector) for detector in now.silent],
        "drift": [detector.to_json() for detector in drift.readings(history, definition)],
        "stability": {input_.name: input_.to_json() for input_ in drift.stability(history)},
    }


def _row(release: dict[str, Any], runs: Sequence[Attempt]) -> dict[str, Any]:
    """Return a release with the reasons of its request and its training data."""
    run = next((run for run in runs if run.release_id == release["id"]), None)
    if run is None or run.trained is None:
        return {**release, "reasons": [], "run": None, "rows": None, "data": None, "metrics": {}}
    request, trained = run.request.data, run.trained.data
    return {
        **release,
        "reasons": [reason.kind for reason in request.reasons],
        "run": trained.run_id,
        "rows": trained.training_rows,
        "data": {"start": rfc3339(request.window_start_ms), "end": rfc3339(request.window_end_ms)},
        "metrics": dict(trained.metrics),
    }
