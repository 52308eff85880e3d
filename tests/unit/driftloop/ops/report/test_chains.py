"""Chains, promotions and ends, from events alone."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Draft, Envelope, from_draft
from driftloop.ops.report.chains import chains, promotion_chain, unended
from driftloop.readmodel.loop_history import LoopHistory


def event(name: str, data: Message, cause: Envelope[Any] | None = None) -> Envelope[Any]:
    draft = Draft(name, "orders", 1000, data)
    return from_draft(draft, source="test", wall_time_ms=len(name), cause=cause, traceparent=None)


def history(*events: Envelope[Any]) -> LoopHistory:
    return LoopHistory("orders", events)


ALARM = event("alarm", monitoring.DriftDetected(loop="orders", mode="trigger", evidence_ids=["w1"]))
ASKED = event("asked", training.RetrainRequested(loop="orders"), ALARM)
PROMOTED = event("promoted", registry.ChampionPromoted(loop="orders"), ASKED)
SCHEDULED = event("scheduled", training.RetrainRequested(loop="orders"))
FIRST = event("first", registry.ChampionPromoted(loop="orders"), SCHEDULED)


def test_the_promotion_chain_runs_from_the_alarm_to_the_promotion() -> None:
    found = promotion_chain(history(FIRST, SCHEDULED, ALARM, ASKED, PROMOTED))
    assert [each.id for each in found] == ["alarm", "asked", "promoted"]


def test_a_promotion_without_an_alarm_is_no_answer_to_drift() -> None:
    assert promotion_chain(history(SCHEDULED, FIRST)) == []


def test_chains_of_another_loop_are_left_out() -> None:
    assert chains(LoopHistory("flows", [ALARM, ASKED])) == []


def test_an_alarm_with_no_end_is_told() -> None:
    assert unended(history(ALARM, ASKED)) == ["alarm"]
    assert unended(history(ALARM, ASKED, PROMOTED)) == []


def test_an_alarm_that_was_kept_for_a_later_request_has_an_end() -> None:
    kept = event("kept", training.ReasonCoalesced(loop="orders", reason=training.Reason(event_id="alarm")))
    assert unended(history(ALARM, kept)) == []
