"""Test events are judged by the pipeline like any other, and nothing else becomes of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from driftloop.bus.ports import Outgoing
from driftloop.contracts.ingestion_pb2 import ProbeJudged
from driftloop.loop import load_loop
from driftloop.ops.system.event_probe import record_of
from driftloop.process.settings import ROOT
from tests.unit.ingestion.fixtures import HOUR_MS, PAID, PLACED, START_MS, Producer, paid, placed
from tests.unit.ingestion.harness import FLUSHED, JUDGED, OUTCOMES, ROWS, IngestionHarness, envelopes, take_all

LABEL = (("driftloop-purpose", b"probe"), ("driftloop-probe", b"p1"))


def probe(producer: Producer, event: dict[str, Any], topic: str = PLACED, partition: int = 0) -> None:
    producer.raw(topic, orjson.dumps(event), partition, LABEL)


def answers(harness: IngestionHarness) -> list[ProbeJudged]:
    return [event.data for _, event in envelopes(harness.broker, JUDGED)]


def state(harness: IngestionHarness) -> dict[str, Any]:
    """All that ingestion has said and stored, but for its answers to test events."""
    topics = (ROWS, OUTCOMES, f"{PLACED}.dlq", f"{PAID}.dlq")
    tables = (("events", PLACED), ("events", PAID), ("rejected",), ("watermarks",))
    return {
        **{topic: [(each.partition, each.value) for each in harness.broker.records(topic)] for topic in topics},
        **{"/".join(name): harness.table("orders", *name).to_pylist() for name in tables},
    }


@pytest.mark.parametrize(
    "loop", [ROOT / "loops" / "flights", ROOT / "tests" / "loops" / "orders"], ids=lambda path: path.name
)
def test_the_event_made_up_for_a_loop_passes_its_own_rules(tmp_path: Path, loop: Path) -> None:
    harness = IngestionHarness(tmp_path, [load_loop(loop)])
    harness.broker.append([record_of(harness.loops[0], "made-up")])
    harness.ingest()
    [answer] = answers(harness)
    assert (answer.reason, answer.detail) == ("", "")
    assert (answer.loop, answer.probe_id, answer.accepted) == (loop.name, "made-up", True)


def test_an_event_made_up_for_odd_rules_passes_them(harness: IngestionHarness) -> None:
    harness.broker.append([record_of(harness.loops[0], "made-up")])
    harness.ingest()
    assert [answer.accepted for answer in answers(harness)] == [True]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (placed("a"), ""),
        (placed("a", shop="west"), "not-in-enum"),
        (placed("a", hour="1"), "malformed-json"),
        ({}, "missing"),
    ],
)
def test_it_is_answered_with_the_name_that_its_sender_gave_it(
    harness: IngestionHarness, producer: Producer, event: dict[str, Any], reason: str
) -> None:
    probe(producer, event)
    harness.ingest()
    [(_, answer)] = envelopes(harness.broker, JUDGED)
    data = answer.data
    assert (data.loop, data.event_type, data.probe_id) == ("orders", PLACED, "p1")
    assert (data.accepted, data.reason, bool(data.detail)) == (not reason, reason, bool(reason))
    assert answer.time_ms == (0 if reason else START_MS)


def test_each_is_judged_by_itself_in_either_form(harness: IngestionHarness, producer: Producer) -> None:
    probe(producer, placed("a", amount=-1))
    message = harness.loops[0].messages[PLACED](**placed("b"))
    producer.raw(PLACED, message.SerializeToString(), 0, (("content-type", b"application/protobuf"), *LABEL))
    producer.raw(PLACED, None, 0, LABEL)
    probe(producer, paid("c"), PAID)
    harness.ingest()
    found = [(answer.event_type, answer.reason) for answer in answers(harness)]
    assert found == [(PAID, ""), (PLACED, "out-of-range"), (PLACED, ""), (PLACED, "empty")]


def _story(producer: Producer, *, probed: bool) -> None:
    """Hours with and without test events; offsets are the same, for a watermark that says nothing new takes theirs."""
    tests = [placed("a", 1), placed("tested", 2), placed("tested", 900), placed("x", shop="west"), placed("e2", 30)]
    producer.watermark(0)
    for hour in range(4):
        for number, event in enumerate(tests):
            if probed:
                probe(producer, {**event}, PLACED, number % 2)
            else:
                producer.watermark(-1, (PLACED, number % 2))
        producer.json(PLACED, placed(f"e{hour}", hour + 0.5))
        producer.json(PLACED, placed("a", hour + 0.5))
        producer.json(PLACED, placed(f"tested-{hour}", hour + 0.5, shop="west"))
        producer.json(PAID, paid(f"p{hour}", hour + 0.9))
        producer.watermark(hour + 1)


def test_nothing_else_becomes_of_it(tmp_path: Path, harness: IngestionHarness, producer: Producer) -> None:
    (tmp_path / "plain").mkdir()
    plain = IngestionHarness(tmp_path / "plain", harness.loops)
    _story(producer, probed=True)
    _story(Producer(plain.broker, plain.loops[0]), probed=False)
    harness.ingest()
    plain.ingest()
    assert state(harness) == state(plain)
    assert len(harness.rejected()) == 7  # a duplicate an hour but the first, and one of no shop
    assert (len(answers(harness)), len(answers(plain))) == (20, 0)


def test_its_time_moves_no_derived_watermark_and_is_not_too_far_ahead(
    harness: IngestionHarness, producer: Producer
) -> None:
    for partition in (0, 1):
        producer.json(PLACED, placed(f"a{partition}", 5), partition)
        producer.json(PAID, paid(f"b{partition}", 5), partition)
        probe(producer, placed("t", 9_000), PLACED, partition)
        probe(producer, paid("t", 9_000), PAID, partition)
    harness.ingest()
    assert harness.table("orders", "watermarks").to_pylist() == [
        {"watermark_ms": START_MS + 4 * HOUR_MS, "sequence": 1}
    ]
    assert [answer.accepted for answer in answers(harness)] == [True] * 4


def test_one_that_carries_a_watermark_moves_none(harness: IngestionHarness, producer: Producer) -> None:
    header = ("driftloop-watermark", str(START_MS).encode())
    for topic in (PLACED, PAID):
        for partition in (0, 1):
            producer.raw(topic, None, partition, (header, *LABEL))
    harness.ingest()
    assert harness.table("orders", "watermarks").num_rows == 0
    assert {answer.reason for answer in answers(harness)} == {"empty"}


def test_a_partition_that_brings_nothing_else_is_still_silent(harness: IngestionHarness, producer: Producer) -> None:
    service = harness.service()
    service.start()
    producer.json(PLACED, placed("a", 5))
    take_all(service, harness.broker)
    harness.clock.move(29)
    producer.json(PLACED, placed("b", 6))
    probe(producer, paid("t"), PAID)
    take_all(service, harness.broker)
    harness.clock.move(2)
    service.step()
    assert service._parts.pipelines[0].clock.watermark_ms == START_MS + 5 * HOUR_MS


def test_refused_ones_end_no_row_of_dead_letters_and_make_none(harness: IngestionHarness, producer: Producer) -> None:
    harness.settings = {"dead_letter_limit": 3, "poll_records": 1}
    for number in range(10):
        probe(producer, placed("t", shop="west" if number % 2 else "north"))
        if number < 3:
            producer.raw(PLACED, b"noise")
    harness.ingest()
    assert len(harness.letters(PLACED)) == 3
    producer.raw(PLACED, b"noise")
    service = harness.service()
    service.start()
    take_all(service, harness.broker)
    assert service._limit._in_a_row == 1
    assert len(answers(harness)) == 10


def test_accepted_ones_do_not_count_between_dead_letters(harness: IngestionHarness, producer: Producer) -> None:
    harness.settings = {"poll_records": 1}
    service = harness.service()
    service.start()
    for _ in range(3):
        producer.raw(PLACED, b"noise")
        probe(producer, placed("t"))
    take_all(service, harness.broker)
    assert service._limit._in_a_row == 3


def test_it_is_answered_again_where_its_batch_is_handled_again(harness: IngestionHarness, producer: Producer) -> None:
    probe(producer, placed("t"))
    producer.json(PLACED, placed("a"))
    killed = harness.service()
    killed.start()
    take_all(killed, harness.broker)
    harness.ingest()
    first, second = (replace(event, wall_time_ms=0) for _, event in envelopes(harness.broker, JUDGED))
    assert first == second
    assert [row["event_id"] for row in harness.events("orders", PLACED)] == ["a"]
    harness.ingest()
    assert len(answers(harness)) == 2


def test_once_input_rests_no_batch_of_it_is_held_for_a_restart(harness: IngestionHarness, producer: Producer) -> None:
    harness.settings = {"flush_idle_s": 0.3}
    service = harness.service()
    service.start()
    probe(producer, placed("t"))
    take_all(service, harness.broker)
    assert harness.broker.committed("ingestion") == {}
    harness.clock.move(0.4)
    service.step()  # the checkpoint is on its way
    service.step()
    assert sum(harness.broker.committed("ingestion").values()) == 1
    assert service._parts.journal.load()[1] == []
    assert envelopes(harness.broker, FLUSHED) == []


def test_nor_is_any_after_an_orderly_end(harness: IngestionHarness, producer: Producer) -> None:
    probe(producer, placed("t"))
    harness.ingest()
    assert harness.service()._parts.journal.load()[1] == []


def test_another_value_of_the_header_is_no_test(harness: IngestionHarness, producer: Producer) -> None:
    value = orjson.dumps(placed("a"))
    harness.broker.append([Outgoing(PLACED, value, None, (("driftloop-purpose", b"client"),), 0)])
    harness.ingest()
    assert len(harness.events("orders", PLACED)) == 1
    assert answers(harness) == []
