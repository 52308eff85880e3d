"""Incidents: what changed, since when, what the system did, and whether it helped. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from driftloop.events.envelope import Envelope, rfc3339
from driftloop.ops.report.effect import before_and_after
from driftloop.readmodel.advice import kept_until
from driftloop.readmodel.attempts import Attempt, Incident
from driftloop.readmodel.event_text import day, describe, verdict_line
from driftloop.readmodel.loop_history import LoopHistory


def answers(incident: Incident, history: LoopHistory, quality: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the answers about an incident, with their numbers."""
    alarm, began = incident.alarm, incident.began_ms
    chain = chain_of(incident, history)
    promoted = incident.attempt and incident.attempt.promoted
    return {
        "alarm_id": alarm.id,
        "detector": alarm.data.detector,
        "release": alarm.data.release_id,
        "alarm_at": rfc3339(alarm.time_ms),
        "statistic": alarm.data.statistic,
        "threshold": alarm.data.threshold,
        "blocks": alarm.data.blocks,
        "what_changed": alarm.data.explanation
        or f"the statistic of {alarm.data.detector} is {alarm.data.statistic:.2f}",
        "since": None if began is None else rfc3339(began),
        "did": [line for event in chain if event is not alarm and (line := describe(event))],
        "state": state(incident),
        "helped": helped(incident, history),
        "before_after": before_and_after(quality, alarm, promoted) if promoted else [],
    }


def state(incident: Incident) -> str:
    """Return the state of the response in one to four words."""
    run = incident.attempt
    if incident.superseded:
        return "superseded"
    if run is None:
        return "waits for a request"
    ends = (
        ("rolled back", run.rolled_back),
        ("rejected", run.rejected),
        ("promoted", run.promoted),
        ("failed", run.failed),
    )
    return next((word for word, event in ends if event is not None), "under way")


def helped(incident: Incident, history: LoopHistory) -> str:
    """Return whether the response helped, and why."""
    run = incident.attempt
    if run is None:
        return _unanswered(incident, history)
    if run.defect is not None:
        stage = getattr(run.defect.data, "stage", "") or getattr(run.defect.data, "from_stage", "")
        return (
            f"No: {run.release_id} was {state(incident)} in {stage}: {run.defect.data.reason.split('; ')[0]}."
            + _later(incident)
        )
    if run.failed is not None:
        return f"No: the run failed: {run.failed.data.reason}." + _later(incident)
    if run.promoted is None:
        return "Not known yet: the response is under way."
    return f"{_verdict(run, history)} {run.release_id} was promoted on {day(run.promoted.time_ms)}."


def chain_of(incident: Incident, history: LoopHistory) -> list[Envelope[Any]]:
    """Return the events of the alarm's chain and of the chain that responded to it, in the order of publication."""
    chains = {incident.alarm.correlation_id}
    if incident.attempt is not None:
        chains.add(incident.attempt.request.correlation_id)
    return [event for event in history.events.values() if event.correlation_id in chains]


def _unanswered(incident: Incident, history: LoopHistory) -> str:
    if incident.superseded:
        return "Nothing was done: the release of the alarm was no longer champion."
    return f"Not known yet: its reason is kept {kept_until(history.state())}." + _later(incident)


def _later(incident: Incident) -> str:
    """Return the later promotion that replaced the release."""
    after = incident.repaired
    if after is None:
        return f" {incident.alarm.data.release_id} still answers." if not incident.superseded else ""
    return f" {after.data.release_id} replaced {after.data.previous_release_id} on {day(after.time_ms)}."


def _verdict(run: Attempt, history: LoopHistory) -> str:
    """Return what the newest verdict with blocks says about the gain, whatever its rollout step required."""
    verdicts = [event.data for event in history.releases[run.release_id].verdicts if event.data.interval.blocks]
    if not verdicts:
        return "No verdict on it has blocks."
    gain = verdicts[-1].interval
    clear = "Yes" if gain.lower > 0 else "No" if gain.upper < 0 else "Not clearly: the interval of the gain contains 0"
    return f"{clear}. Its last verdict is {verdict_line(verdicts[-1])}, the gain a prediction over the champion."
