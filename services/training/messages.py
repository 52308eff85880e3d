"""Turns the controller's answers into events."""

from __future__ import annotations

from collections.abc import Sequence

from driftloop.contracts import control_pb2 as control
from driftloop.contracts import training_pb2 as training
from driftloop.events import ids
from driftloop.events.envelope import Draft
from services.training.domain.state import Answer, Coalesced, Reason, Requested


def drafts_of(loop: str, answers: Sequence[Answer], time_ms: int) -> list[Draft]:
    """Return an event per answer, in order. ``time_ms`` is the event time of the handled event."""
    return [_requested(loop, a) if isinstance(a, Requested) else _coalesced(loop, a, time_ms) for a in answers]


def _requested(loop: str, answer: Requested) -> Draft:
    message = training.RetrainRequested(
        loop=loop,
        request_id=answer.chain.request_id,
        reasons=[_reason(reason) for reason in answer.reasons],
        window_start_ms=answer.window_start_ms,
        window_end_ms=answer.window_end_ms,
        seed=answer.seed,
        evidence_ids=answer.evidence,
        failures=answer.failures,
        breaker=answer.breaker,
        model=control.ImportedModel.FromString(bytes.fromhex(answer.model)) if answer.model else None,
    )
    identity = ids.event_id("training.retrain-requested", loop, answer.chain.request_id)
    chain = answer.correlation_id or identity
    cause = next((reason.event_id for reason in answer.reasons if reason.chain == chain), None)
    return Draft(identity, loop, answer.window_end_ms, message, chain=chain, cause_id=cause)


def _coalesced(loop: str, answer: Coalesced, time_ms: int) -> Draft:
    reason = _reason(answer.reason)
    if answer.because == "superseded":
        reason.detail += f"; dropped, because the champion is now {answer.blocked_by or 'another release'}"
    message = training.ReasonCoalesced(loop=loop, reason=reason, because=answer.because, blocked_by=answer.blocked_by)
    state = "dropped" if answer.because == "superseded" else "kept"
    identity = ids.event_id("training.reason-coalesced", loop, reason.kind, reason.event_id, state)
    return Draft(identity, loop, time_ms, message, chain=answer.reason.chain or None)


def _reason(reason: Reason) -> training.Reason:
    return training.Reason(
        kind=reason.kind, event_id=reason.event_id, event_time_ms=reason.event_time_ms, detail=reason.detail
    )
