"""Builds the content of ``report.json`` from events, checks and measurements."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.ops.checks.model import Findings
from driftloop.ops.demo.run import Measurements
from driftloop.ops.report import chains, releases, timings
from driftloop.readmodel.loop_history import LoopHistory


def build(
    history: LoopHistory,
    findings: Findings,
    measured: Measurements,
    steps: dict[str, Any],
    calls: dict[str, Any],
    setup_s: float,
) -> dict[str, Any]:
    """Return the content of ``report.json``; its event ids exist in the lifecycle topics."""
    path = chains.promotion_chain(history)
    return {
        "loop": history.loop,
        "chain": [chains.as_json(event) for event in path],
        "chains": [chain.to_json() for chain in chains.chains(history)],
        "unended_alarms": chains.unended(history),
        "alarms": _alarms(history),
        "releases": releases.releases(history),
        "predictions": {
            "served": findings.counts.predictions_served,
            "failed": calls["failed"],
            "by_release": findings.counts.predictions_by_release,
        },
        "outcomes": releases.outcomes(history),
        "quality": releases.quality(history),
        "skew": {"compared": findings.counts.skew_compared, "unequal": findings.counts.skew_unequal},
        "feature_age_s": {"p50": findings.counts.feature_age_p50_s, "p99": findings.counts.feature_age_p99_s},
        "ingestion": {
            "accepted": findings.counts.accepted,
            "dead_lettered": findings.counts.dead_lettered,
            "duplicates": findings.counts.duplicates,
        },
        "checks": [asdict(check) for check in findings.checks],
        "kills": measured.kills,
        "resumed": measured.resumed,
        "timings_s": {
            "setup": setup_s,
            "ready": measured.ready_s,
            "step_ms_p50": steps.get("step_ms_p50"),
            "step_ms_p99": steps.get("step_ms_p99"),
            "first_champion": measured.first_champion_s,
            "alarm_to_serving": timings.alarm_to_serving(path, history),
            "training": timings.training_s(history),
            "total": measured.total_s,
        },
        "memory_mib": {"idle": measured.idle_mib, "peak": measured.peak_mib},
    }


def _alarms(history: LoopHistory) -> dict[str, int]:
    """Return the number of alarms by mode."""
    modes = [event.data.mode for event in history.of_kind(monitoring.DriftDetected)]
    return {mode: modes.count(mode) for mode in ("trigger", "watch")}
