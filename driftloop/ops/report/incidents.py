"""An alarm as people ask about it: what changed, since when, what the system did, did it help. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.events.envelope import Envelope, rfc3339
from driftloop.ops.report.effect import before_and_after
from driftloop.readmodel.attempts import Attempt, Incident
from driftloop.readmodel.event_text import day, describe, verdict_line


def told(incident: Incident, events: Sequence[Envelope[Any]], quality: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The answers, with the numbers that they rest on. ``events`` are the loop's own."""
    alarm, attempt = incident.alarm, incident.attempt
    began = incident.began_ms
    own = attempt is not None and attempt.promoted is not None
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
        "did": [line for event in chain_of(incident, events) if event is not alarm and (line := describe(event))],
        "state": state(incident),
        "helped": helped(incident, events),
        "before_after": before_and_after(quality, alarm, attempt.promoted)
        if own and attempt and attempt.promoted
        else [],
    }


def state(incident: Incident) -> str:
    """How far the answer has come: one word or two."""
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


def helped(incident: Incident, events: Sequence[Envelope[Any]]) -> str:
    """Whether it helped, and what that rests on."""
    run = incident.attempt
    if run is None:
        return _unanswered(incident)
    if run.defect is not None:
        stage = getattr(run.defect.data, "stage", "") or getattr(run.defect.data, "from_stage", "")
        return (
            f"No: {run.release_id} was {state(incident)} in {stage}: {run.defect.data.reason.split('; ')[0]}."
            + _later(incident)
        )
    if run.failed is not None:
        return f"No: the run failed: {run.failed.data.reason}." + _later(incident)
    if run.promoted is None:
        return "Not known yet: the answer is under way."
    return f"{_verdict(run, events)} {run.release_id} was promoted on {day(run.promoted.time_ms)}."


def chain_of(incident: Incident, events: Sequence[Envelope[Any]]) -> list[Envelope[Any]]:
    """The alarm and all events of its chain and of the chain that answered it, in the order of their publication."""
    chains = {incident.alarm.correlation_id}
    if incident.attempt is not None:
        chains.add(incident.attempt.request.correlation_id)
    return [event for event in events if event.correlation_id in chains]


def _unanswered(incident: Incident) -> str:
    if incident.superseded:
        return "Nothing was done: the release that the alarm is about was champion no more."
    return "Not known yet: its reason is kept for a later request." + _later(incident)


def _later(incident: Incident) -> str:
    """Another request's promotion that took the release's place."""
    after = incident.repaired
    if after is None:
        return f" {incident.alarm.data.release_id} still answers." if not incident.superseded else ""
    return f" {after.data.release_id} took the place of {after.data.previous_release_id} on {day(after.time_ms)}."


def _verdict(run: Attempt, events: Sequence[Envelope[Any]]) -> str:
    """What its newest verdict that rests on blocks says about the gain, whatever the rollout asked for."""
    found = [
        event.data
        for event in events
        if isinstance(event.data, evaluation.VerdictReached)
        and event.data.release_id == run.release_id
        and event.data.interval.blocks
    ]
    if not found:
        return "No verdict on it rests on blocks."
    gain = found[-1].interval
    clear = "Yes" if gain.lower > 0 else "No" if gain.upper < 0 else "Not clearly: the interval of the gain holds 0"
    return f"{clear}. Its last verdict is {verdict_line(found[-1])}, the gain a prediction over the champion."
