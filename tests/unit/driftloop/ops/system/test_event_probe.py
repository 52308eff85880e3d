from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from driftloop.bus.memory import MemoryBroker
from driftloop.bus.ports import Outgoing
from driftloop.contracts.ingestion_pb2 import ProbeJudged
from driftloop.events.envelope import Draft, from_draft, to_record
from driftloop.events.probe import PROBE_ID, is_probe
from driftloop.loop import Loop, load_loop
from driftloop.ops.system.event_probe import ask, record_of
from driftloop.ops.system.probes import Patience
from driftloop.process.errors import DriftloopError
from driftloop.process.settings import ROOT

PLACED = "orders.placed"
JUDGED = "ingestion.probe-judged.v1"


@pytest.fixture(scope="module")
def loop() -> Loop:
    return load_loop(ROOT / "tests" / "loops" / "orders")


@pytest.fixture
def broker() -> MemoryBroker:
    broker = MemoryBroker()
    broker.create_topic(PLACED, 2)
    broker.create_topic(JUDGED)
    return broker


def judged(probe_id: str, loop: str = "orders", reason: str = "") -> Outgoing:
    data = ProbeJudged(
        loop=loop, event_type=PLACED, probe_id=probe_id, accepted=not reason, reason=reason, detail="why"
    )
    event = from_draft(Draft(probe_id, loop, 0, data), source="ingestion", wall_time_ms=0, cause=None, traceparent=None)
    return to_record(event)


class Door:
    """A producer beside which an ingestion lives: it answers each record by a rule."""

    def __init__(self, broker: MemoryBroker, answer: Callable[[str], list[Outgoing]]) -> None:
        self._broker = broker
        self._answer = answer

    def send(self, records: Sequence[Outgoing]) -> None:
        self._broker.append(records)
        for record in records:
            self._broker.append(self._answer(dict(record.headers)[PROBE_ID].decode()))

    def flush(self, timeout_s: float = 30.0) -> None: ...

    def partitions(self, topic: str) -> int:
        return self._broker.partitions(topic)

    def close(self) -> None: ...


def asked(broker: MemoryBroker, loop: Loop, answer: Callable[[str], list[Outgoing]], timeout_s: float) -> list[str]:
    consumer = broker.batch_consumer([JUDGED], "up")
    return ask(consumer, Door(broker, answer), [loop], Patience(timeout_s))


def test_a_test_event_is_of_what_the_loop_predicts_from_and_says_what_it_is(loop: Loop) -> None:
    record = record_of(loop, "p1")
    assert (record.topic, record.key) == (PLACED, b"probe")
    assert is_probe(record.headers)
    assert dict(record.headers)[PROBE_ID] == b"p1"
    assert loop.messages[PLACED].FromString(record.value or b"").ListFields()


def test_it_is_done_when_the_answer_with_its_name_says_accepted(loop: Loop, broker: MemoryBroker) -> None:
    others = [judged("of-another-start", reason="missing")]
    assert asked(broker, loop, lambda name: [*others, judged(name)], 60.0) == []


def test_an_answer_of_another_loop_on_the_same_topic_is_none(loop: Loop, broker: MemoryBroker) -> None:
    assert asked(broker, loop, lambda name: [judged(name, "flows")], 0.05) == ["orders"]


def test_no_answer_ends_with_the_loop_that_has_none(loop: Loop, broker: MemoryBroker) -> None:
    assert asked(broker, loop, lambda _: [], 0.05) == ["orders"]


@pytest.mark.parametrize("reason", ["derive", "unknown-class"])
def test_an_expression_or_a_label_that_knows_no_made_up_text_says_nothing_against_the_door(
    loop: Loop, broker: MemoryBroker, reason: str
) -> None:
    assert asked(broker, loop, lambda name: [judged(name, reason=reason)], 60.0) == []


def test_a_refusal_says_loop_reason_and_place(loop: Loop, broker: MemoryBroker) -> None:
    with pytest.raises(DriftloopError, match=r"orders/loop\.yaml:\d+: loop orders refuses .*: out-of-range: why"):
        asked(broker, loop, lambda name: [judged(name, reason="out-of-range")], 60.0)
