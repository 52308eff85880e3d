from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from driftloop.bus.ports import Outgoing, Record
from driftloop.contracts.ingestion_pb2 import ProbeJudged
from driftloop.events.envelope import Draft, from_draft, to_record
from driftloop.events.probe import PROBE_ID, is_probe
from driftloop.loop import Loop, load_loop
from driftloop.ops.system.event_probe import probe_record, send_and_wait
from driftloop.ops.system.probes import Deadline
from driftloop.process.errors import DriftloopError
from driftloop.process.settings import ROOT
from tests.helpers.memory_broker import MemoryBroker

PLACED = "orders.placed"
SECRET = "of this system"  # of the tests
ANSWERS = "ingestion.probe-judged.v1"


@pytest.fixture(scope="module")
def loop() -> Loop:
    return load_loop(ROOT / "tests" / "loops" / "orders")


@pytest.fixture
def broker() -> MemoryBroker:
    broker = MemoryBroker()
    broker.create_topic(PLACED, 2)
    broker.create_topic(ANSWERS)
    return broker


def answer_of(probe_id: str, loop: str = "orders", reason: str = "") -> Outgoing:
    data = ProbeJudged(
        loop=loop, event_type=PLACED, probe_id=probe_id, accepted=not reason, reason=reason, detail="why"
    )
    event = from_draft(Draft(probe_id, loop, 0, data), source="ingestion", wall_time_ms=0, cause=None, traceparent=None)
    return to_record(event)


class AnsweringProducer:
    """A producer that appends the answer of ingestion after each record."""

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


def probe(broker: MemoryBroker, loop: Loop, answer: Callable[[str], list[Outgoing]], timeout_s: float) -> list[str]:
    consumer = broker.batch_consumer([ANSWERS], "up")
    return send_and_wait(consumer, AnsweringProducer(broker, answer), [loop], SECRET, Deadline(timeout_s))


def test_a_probe_is_an_event_of_the_predicted_type_with_the_headers_of_a_probe(loop: Loop) -> None:
    record = probe_record(loop, "p1", SECRET)
    assert (record.topic, record.key) == (PLACED, b"probe")
    received = Record(PLACED, 0, 0, record.key, record.value, record.headers)
    assert is_probe(received, SECRET)
    assert not is_probe(received, "another")
    assert dict(record.headers)[PROBE_ID] == b"p1"
    assert loop.messages[PLACED].FromString(record.value or b"").ListFields()


def test_probing_ends_when_the_answer_with_its_id_says_accepted(loop: Loop, broker: MemoryBroker) -> None:
    others = [answer_of("of-another-start", reason="missing")]
    assert probe(broker, loop, lambda name: [*others, answer_of(name)], 60.0) == []


def test_an_answer_of_another_loop_on_the_same_topic_is_ignored(loop: Loop, broker: MemoryBroker) -> None:
    assert probe(broker, loop, lambda name: [answer_of(name, "flows")], 0.05) == ["orders"]


def test_without_an_answer_the_loop_is_returned_as_unanswered(loop: Loop, broker: MemoryBroker) -> None:
    assert probe(broker, loop, lambda _: [], 0.05) == ["orders"]


@pytest.mark.parametrize("reason", ["derive", "unknown-class"])
def test_a_refusal_by_an_expression_or_label_still_counts_as_an_answer(
    loop: Loop, broker: MemoryBroker, reason: str
) -> None:
    assert probe(broker, loop, lambda name: [answer_of(name, reason=reason)], 60.0) == []


def test_a_refusal_by_rules_names_line_loop_and_reason(loop: Loop, broker: MemoryBroker) -> None:
    with pytest.raises(DriftloopError, match=r"orders/loop\.yaml:\d+: loop orders refuses .*: out-of-range: why"):
        probe(broker, loop, lambda name: [answer_of(name, reason="out-of-range")], 60.0)
