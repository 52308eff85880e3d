"""Turns the controller's answers into events."""

from __future__ import annotations

from collections.abc import Sequence

from driftloop.contracts import control_pb2 as control
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import training_pb2 as training
from driftloop.events import ids
from driftloop.events.envelope import Draft
from services.training.domain.state import Coalesced, Outcome, Reason, Requested

DECIDER = "training"


def drafts_of(loop: str, outcomes: Sequence[Outcome], time_ms: int) -> list[Draft]:
    """Return an event per answer, in order. ``time_ms`` is the event time of the handled event."""
    return [_requested(loop, o) if isinstance(o, Requested) else _coalesced(loop, o, time_ms) for o in outcomes]


def window_decided(window: monitoring.WindowClosed, opened: Sequence[Draft]) -> Draft:
    """Return the controller's answer to a closed window."""
    decided = monitoring.WindowDecided(
        loop=window.loop,
        window_id=window.window_id,
        end_ms=window.end_ms,
        decider=DECIDER,
        opened=[draft.id for draft in opened],
    )
    identity = ids.event_id("monitoring.window-decided", window.loop, window.window_id, DECIDER)
    return Draft(identity, window.loop, window.end_ms, decided)


def _requested(loop: str, outcome: Requested) -> Draft:
    message = training.RetrainRequested(
        loop=loop,
        request_id=outcome.chain.request_id,
        reasons=[_reason(each) for each in outcome.reasons],
        window_start_ms=outcome.window_start_ms,
        window_end_ms=outcome.window_end_ms,
        seed=outcome.seed,
        evidence_ids=outcome.evidence,
        model=control.ImportedModel.FromString(bytes.fromhex(outcome.model)) if outcome.model else None,
    )
    identity = ids.event_id("training.retrain-requested", loop, outcome.chain.request_id)
    chain = outcome.correlation_id or identity
    cause = next((each.event_id for each in outcome.reasons if each.chain == chain), None)
    return Draft(identity, loop, outcome.window_end_ms, message, chain=chain, cause_id=cause)


def _coalesced(loop: str, outcome: Coalesced, time_ms: int) -> Draft:
    reason = _reason(outcome.reason)
    if outcome.because == "superseded":
        reason.detail += f"; dropped, as the champion is {outcome.blocked_by or 'another'} by now"
    message = training.ReasonCoalesced(loop=loop, reason=reason, because=outcome.because, blocked_by=outcome.blocked_by)
    state = "dropped" if outcome.because == "superseded" else "kept"
    identity = ids.event_id("training.reason-coalesced", loop, reason.kind, reason.event_id, state)
    return Draft(identity, loop, time_ms, message, chain=outcome.reason.chain or None)


def _reason(reason: Reason) -> training.Reason:
    return training.Reason(
        kind=reason.kind, event_id=reason.event_id, event_time_ms=reason.event_time_ms, detail=reason.detail
    )
