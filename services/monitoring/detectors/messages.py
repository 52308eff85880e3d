"""Converts detector results to messages."""

from __future__ import annotations

from collections.abc import Sequence

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.drift.detectors import Alarm
from driftloop.events import ids
from driftloop.events.envelope import Draft

DECIDER = "detectors"


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


def window_decided(window: monitoring.WindowClosed, opened: Sequence[Draft]) -> Draft:
    """Return the event that lists the alarms that a window opened, possibly none."""
    data = monitoring.WindowDecided(
        loop=window.loop,
        window_id=window.window_id,
        end_ms=window.end_ms,
        decider=DECIDER,
        opened=[alarm.id for alarm in opened],
    )
    identity = ids.event_id("monitoring.window-decided", window.loop, window.window_id, DECIDER)
    return Draft(identity, window.loop, window.end_ms, data)
