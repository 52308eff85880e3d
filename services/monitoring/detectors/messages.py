"""Converts detector results to messages."""

from __future__ import annotations

from collections.abc import Iterable

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.drift.detectors import Alarm, DetectorRule, DetectorStep
from driftloop.events import ids
from driftloop.events.envelope import Draft


def drift_detected(loop: str, alarm: Alarm, time_ms: int) -> Draft:
    """Return the alarm event. It starts a chain; its id is the same whenever the same episode is detected."""
    data = monitoring.DriftDetected(
        loop=loop,
        detector=alarm.rule.name,
        release_id=alarm.release,
        mode=alarm.rule.mode,
        episode=alarm.episode,
        statistic=alarm.reading.statistic,
        threshold=alarm.rule.threshold,
        blocks=len(alarm.reading.evidence_ids),
        explanation=alarm.reading.explanation,
        evidence_ids=alarm.reading.evidence_ids,
    )
    identity = ids.event_id("monitoring.drift-detected", loop, alarm.rule.name, alarm.release, alarm.episode)
    return Draft(identity, loop, time_ms, data)


def silent_detectors(rules: Iterable[tuple[DetectorRule, DetectorStep]]) -> list[monitoring.SilentDetector]:
    """Return the detectors that could not judge several windows in a row, up to this one."""
    return [
        monitoring.SilentDetector(
            detector=rule.name, windows=step.state.skipped, rows=step.rows, min_rows=rule.min_rows
        )
        for rule, step in rules
        if step.state.silent
    ]
