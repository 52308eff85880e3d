from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from driftloop.bus.ports import Outgoing, Record, TopicPartition
from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import features_pb2 as features
from driftloop.contracts import ingestion_pb2 as ingestion
from driftloop.events.envelope import Draft, from_draft, to_record
from driftloop.events.raw_watermark import watermark
from driftloop.loop import Loop, load_loop
from driftloop.ops.demo.in_flight import Answers, Work, lifecycle_event, raw_event, watermark_of, work_of
from driftloop.process.settings import ROOT

ROWS = "ingestion.rows-accepted.v1"


@pytest.fixture(scope="module")
def orders() -> Loop:
    return load_loop(ROOT / "tests" / "loops" / "orders")


def stored(sent: Outgoing, offset: int, partition: int = 0) -> Record:
    return Record(sent.topic, partition, offset, sent.key, sent.value, tuple(sent.headers))


def lifecycle(name: str, time_ms: int, data: object, offset: int, partition: int = 0) -> Record:
    draft = Draft(name, "orders", time_ms, data)  # type: ignore[arg-type]  # any message
    event = from_draft(draft, source="test", wall_time_ms=0, cause=None, traceparent=None)
    return stored(to_record(event), offset, partition)


def in_band(at_ms: int, offset: int, partition: int = 0) -> Record:
    message = ingestion.WatermarkAdvanced(loop="orders", watermark_ms=at_ms)
    return lifecycle(f"mark-{at_ms}", at_ms, message, offset, partition)


def rows(name: str, time_ms: int, offset: int, partition: int = 0) -> Record:
    return lifecycle(name, time_ms, ingestion.RowsAccepted(loop="orders"), offset, partition)


def placed(loop: Loop, name: str, time_ms: int, offset: int, partition: int = 0) -> Record:
    value = loop.messages["orders.placed"](uid=name, at_ms=time_ms, order_ref="o").SerializeToString()
    header = (("content-type", b"application/protobuf"),)
    return Record("orders.placed", partition, offset, b"o", value, header)


def raw_mark(at_ms: int, offset: int, partition: int = 0) -> Record:
    return stored(watermark("orders.placed", partition, at_ms), offset, partition)


def ids(work: Work) -> list[str]:
    return [event.id for event in work.events()]


def test_a_raw_event_has_the_id_and_time_of_its_definition(orders: Loop) -> None:
    describe = raw_event(orders)
    event = describe(placed(orders, "u7", 5000, 42, 1))
    assert event is not None
    assert (event.id, event.type, event.time_ms) == ("u7", "orders.placed", 5000)
    assert (event.topic, event.partition, event.offset) == ("orders.placed", 1, 42)


def test_a_raw_event_in_json_is_read(orders: Loop) -> None:
    value = orjson.dumps({"uid": "u8", "at_ms": 6000})
    event = raw_event(orders)(Record("orders.placed", 0, 1, None, value, (("content-type", b"application/json"),)))
    assert event is not None
    assert (event.id, event.time_ms) == ("u8", 6000)


@pytest.mark.parametrize("value", [None, b"", b"\xff\xff", b"{"])
def test_a_record_without_an_event_has_no_id(orders: Loop, value: bytes | None) -> None:
    for kind in (b"application/json", b"application/protobuf"):
        assert raw_event(orders)(Record("orders.placed", 0, 1, None, value, (("content-type", kind),))) is None


def test_a_lifecycle_event_is_described_by_its_headers() -> None:
    record = lifecycle("v1", 7000, evaluation.VerdictReached(loop="orders"), 3)
    event = lifecycle_event(record)
    assert event is not None
    assert (event.id, event.type, event.time_ms) == ("v1", "driftloop.evaluation.v1.VerdictReached", 7000)
    assert lifecycle_event(Record(record.topic, 0, 0, None, record.value)) is None


def test_watermarks_are_read_in_raw_topics_and_in_band(orders: Loop) -> None:
    assert watermark_of(raw_mark(9000, 0)) == 9000
    assert watermark_of(in_band(8000, 0)) == 8000
    assert watermark_of(rows("r", 8000, 0)) == watermark_of(placed(orders, "u", 8000, 0)) == -1


def test_records_before_the_answered_watermark_are_dropped(orders: Loop) -> None:
    work = Work(["orders.placed"], raw_event(orders))
    for record in (
        placed(orders, "a", 10, 0),
        raw_mark(1000, 1),
        placed(orders, "b", 1010, 2),
        raw_mark(2000, 3),
        placed(orders, "c", 2010, 4),
        placed(orders, "d", 1020, 0, 1),
        raw_mark(2000, 1, 1),
    ):
        work.add(record)
    work.drop_answered(1000)
    assert ids(work) == ["b", "d", "c"]
    work.drop_answered(2000)
    assert ids(work) == ["c"]
    work.drop_answered(-1)
    assert ids(work) == ["c"]


def test_committed_records_are_dropped() -> None:
    work = Work(["evaluation.verdict-reached.v1"], lifecycle_event)
    for offset in range(3):
        work.add(lifecycle(f"v{offset}", 100 - offset, evaluation.VerdictReached(loop="orders"), offset))
    work.drop_committed({TopicPartition("evaluation.verdict-reached.v1", 0): 1})
    assert ids(work) == ["v2", "v1"]


def test_records_of_other_topics_are_ignored() -> None:
    work = Work([ROWS], lifecycle_event)
    work.add(lifecycle("v", 10, evaluation.VerdictReached(loop="orders"), 0))
    assert ids(work) == []


def test_the_oldest_event_comes_first() -> None:
    work = Work([ROWS], lifecycle_event)
    for record in (rows("late", 50, 0, 0), rows("early", 40, 7, 1), in_band(60, 8, 1)):
        work.add(record)
    assert ids(work) == ["early", "late", "mark-60"]


def test_ingestion_answers_up_to_its_lowest_partition() -> None:
    answers = Answers()
    assert answers.answered_ms("ingestion") == -1
    assert answers.process(in_band(1000, 0, 0))
    assert answers.process(in_band(1000, 0, 1))
    assert answers.process(in_band(2000, 1, 0))
    assert answers.answered_ms("ingestion") == 1000
    assert not answers.process(rows("r", 10, 2))


def test_features_answer_by_their_own_watermark_which_never_falls() -> None:
    answers = Answers()
    for offset, at_ms in enumerate((3000, 2000)):  # after a kill, old watermarks are published again
        message = features.WatermarkAdvanced(loop="orders", watermark_ms=at_ms)
        assert answers.process(lifecycle(f"f{at_ms}", at_ms, message, offset))
    assert answers.answered_ms("features") == 3000
    assert answers.answered_ms("registry") == answers.answered_ms("ingestion") == -1


def test_the_input_of_a_service_follows_its_topics(orders: Loop) -> None:
    assert work_of("ingestion", orders).topics == set(orders.definition.events)
    assert work_of("features", orders).topics == {ROWS}
    assert "evaluation.verdict-reached.v1" in work_of("registry", orders).topics


def test_a_probe_is_not_input(orders: Loop) -> None:
    work = Work(["orders.placed"], raw_event(orders))
    work.add(replace(placed(orders, "u", 10, 0), headers=(("driftloop-purpose", b"probe"),)))
    assert ids(work) == []
