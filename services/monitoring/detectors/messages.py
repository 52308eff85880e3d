"""Converts detector results to messages."""

from __future__ import annotations

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.drift.detectors import Alarm
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
