"""The pipeline checks and answers probes; they have no other effect."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from driftloop.bus.ports import Outgoing
from driftloop.contracts.ingestion_pb2 import ProbeJudged
from driftloop.events.probe import probe_headers
from driftloop.loop import load_loop
from driftloop.ops.system.event_probe import probe_record
from driftloop.process.settings import ROOT
from tests.unit.ingestion.fixtures import HOUR_MS, PAID, PLACED, START_MS, Producer, paid, placed
from tests.unit.ingestion.harness import (
    FLUSHED,
    OUTCOMES,
    PROBE_ANSWERS,
    PROBE_SECRET,
    ROWS,
    IngestionHarness,
    envelopes,
    newest_watermark,
    read_all,
)

Headers = tuple[tuple[str, bytes], ...]


def probe(producer: Producer, event: dict[str, Any], topic: str = PLACED, partition: int = 0) -> None:
    raw_probe(producer, orjson.dumps(event), topic, partition)


def raw_probe(
    producer: Producer, value: bytes | None, topic: str = PLACED, partition: int = 0, more: Headers = ()
) -> None:
    producer.raw(topic, value, partition, (*more, *probe_headers("p1", value or b"", PROBE_SECRET)))


def answers(harness: IngestionHarness) -> list[ProbeJudged]:
    return [event.data for _, event in envelopes(harness.broker, PROBE_ANSWERS)]


def state(harness: IngestionHarness) -> dict[str, Any]:
    """Return all that ingestion has sent and stored, except its answers to probes."""
    topics = (ROWS, OUTCOMES, f"{PLACED}.dlq", f"{PAID}.dlq")
    tables = (("events", PLACED), ("events", PAID), ("rejected",), ("watermarks",))
    return {
        **{topic: [(record.partition, record.value) for record in harness.broker.records(topic)] for topic in topics},
        **{"/".join(name): harness.table("orders", *name).to_pylist() for name in tables},
    }


@pytest.mark.parametrize(
    "loop", [ROOT / "loops" / "flights", ROOT / "tests" / "loops" / "orders"], ids=lambda path: path.name
)
def test_the_synthetic_event_of_a_loop_passes_its_rules(tmp_path: Path, loop: Path) -> None:
    harness = IngestionHarness(tmp_path, [load_loop(loop)])
    harness.broker.append([probe_record(harness.loops[0], "probe-id", PROBE_SECRET)])
    harness.ingest()
    [answer] = answers(harness)
    assert (answer.reason, answer.detail) == ("", "")
    assert (answer.loop, answer.probe_id, answer.accepted) == (loop.name, "probe-id", True)


def test_a_synthetic_event_for_unusual_rules_passes_them(harness: IngestionHarness) -> None:
    harness.broker.append([probe_record(harness.loops[0], "probe-id", PROBE_SECRET)])
    harness.ingest()
    assert [answer.accepted for answer in answers(harness)] == [True]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (placed("a"), ""),
        (placed("a", shop="west"), "not-in-enum"),
        (placed("a", count="one"), "malformed-json"),
        ({}, "missing"),
    ],
)
def test_the_answer_repeats_the_id_of_the_probe(
    harness: IngestionHarness, producer: Producer, event: dict[str, Any], reason: str
) -> None:
    probe(producer, event)
    harness.ingest()
    [(_, answer)] = envelopes(harness.broker, PROBE_ANSWERS)
    data = answer.data
    assert (data.loop, data.event_type, data.probe_id) == ("orders", PLACED, "p1")
    assert (data.accepted, data.reason, bool(data.detail)) == (not reason, reason, bool(reason))
    assert answer.time_ms == (0 if reason else START_MS)


def test_probes_in_json_and_protobuf_are_checked_one_by_one(harness: IngestionHarness, producer: Producer) -> None:
    probe(producer, placed("a", amount=-1))
    message = harness.loops[0].messages[PLACED](**placed("b"))
    raw_probe(producer, message.SerializeToString(), more=(("content-type", b"application/protobuf"),))
    raw_probe(producer, None)
    probe(producer, paid("c"), PAID)
    harness.ingest()
    results = [(answer.event_type, answer.reason) for answer in answers(harness)]
    assert results == [(PAID, ""), (PLACED, "out-of-range"), (PLACED, ""), (PLACED, "empty")]


def _send_hours(producer: Producer, *, probed: bool) -> None:
    """Send hours of events. Without probes, watermarks that advance nothing take their offsets."""
    probes = [placed("a", 1), placed("tested", 2), placed("tested", 900), placed("x", shop="west"), placed("e2", 30)]
    producer.watermark(0)
    for hour in range(4):
        for number, event in enumerate(probes):
            if probed:
                probe(producer, {**event}, PLACED, number % 2)
            else:
                producer.watermark(-1, (PLACED, number % 2))
        producer.json(PLACED, placed(f"e{hour}", hour + 0.5))
        producer.json(PLACED, placed("a", hour + 0.5))
        producer.json(PLACED, placed(f"tested-{hour}", hour + 0.5, shop="west"))
        producer.json(PAID, paid(f"p{hour}", hour + 0.9))
        producer.watermark(hour + 1)


def test_a_probe_has_no_other_effect(tmp_path: Path, harness: IngestionHarness, producer: Producer) -> None:
    (tmp_path / "plain").mkdir()
    plain = IngestionHarness(tmp_path / "plain", harness.loops)
    _send_hours(producer, probed=True)
    _send_hours(Producer(plain.broker, plain.loops[0]), probed=False)
    harness.ingest()
    plain.ingest()
    assert state(harness) == state(plain)
    assert len(harness.rejected()) == 7  # a duplicate in all hours but one; an unknown shop each hour
    assert (len(answers(harness)), len(answers(plain))) == (20, 0)


def test_the_time_of_a_probe_does_not_advance_a_derived_watermark(
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


def test_a_probe_with_a_watermark_header_does_not_advance_the_watermark(
    harness: IngestionHarness, producer: Producer
) -> None:
    header = ("driftloop-watermark", str(START_MS).encode())
    for topic in (PLACED, PAID):
        for partition in (0, 1):
            raw_probe(producer, None, topic, partition, (header,))
    harness.ingest()
    assert harness.table("orders", "watermarks").num_rows == 0
    assert {answer.reason for answer in answers(harness)} == {"empty"}


def test_a_record_that_only_calls_itself_a_probe_is_an_event(harness: IngestionHarness, producer: Producer) -> None:
    marker, name, signature = probe_headers("p1", orjson.dumps(placed("another")), PROBE_SECRET)
    wrong = probe_headers("p1", orjson.dumps(placed("guessed")), "a guess")
    for event, headers in [
        ("marked", (marker,)),
        ("named", (marker, name)),
        ("copied", (marker, name, signature)),
        ("guessed", wrong),
    ]:
        producer.raw(PLACED, orjson.dumps(placed(event)), 0, headers)
    harness.ingest()
    assert [row["event_id"] for row in harness.events("orders", PLACED)] == ["marked", "named", "copied", "guessed"]
    assert answers(harness) == []


def test_a_partition_with_probes_only_is_still_idle(harness: IngestionHarness, producer: Producer) -> None:
    service = harness.service()
    service.start()
    producer.json(PLACED, placed("a", 5))
    read_all(service)
    harness.clock.move(29)
    producer.json(PLACED, placed("b", 6))
    probe(producer, paid("t"), PAID)
    read_all(service)
    harness.clock.move(2)
    service.step()
    assert newest_watermark(harness) == START_MS + 5 * HOUR_MS


def test_refused_probes_neither_reset_nor_extend_the_dead_letter_count(
    harness: IngestionHarness, producer: Producer
) -> None:
    harness.settings = {"dead_letter_limit": 3, "poll_records": 1}
    for number in range(10):
        probe(producer, placed("t", shop="west" if number % 2 else "north"))
        if number < 3:
            producer.raw(PLACED, b"noise")
    harness.ingest()
    assert len(harness.dead_letters(PLACED)) == 3
    harness.settings["dead_letter_limit"] = 4
    producer.raw(PLACED, b"noise")
    probe(producer, placed("t", shop="west"))
    harness.ingest()
    assert len(answers(harness)) == 11


def test_accepted_probes_do_not_reset_the_dead_letter_count(harness: IngestionHarness, producer: Producer) -> None:
    harness.settings = {"poll_records": 1, "dead_letter_limit": 2}
    for _ in range(4):
        producer.raw(PLACED, b"noise")
        probe(producer, placed("t"))
    harness.ingest()
    assert len(harness.dead_letters(PLACED)) == 3


def test_a_redelivered_probe_gets_the_same_answer(harness: IngestionHarness, producer: Producer) -> None:
    probe(producer, placed("t"))
    producer.json(PLACED, placed("a"))
    killed = harness.service()
    killed.start()
    read_all(killed)
    harness.ingest()
    first, second = (replace(event, wall_time_ms=0) for _, event in envelopes(harness.broker, PROBE_ANSWERS))
    assert first == second
    assert [row["event_id"] for row in harness.events("orders", PLACED)] == ["a"]
    harness.ingest()
    assert len(answers(harness)) == 2


def test_after_idle_input_the_journal_holds_no_batch_of_probes(harness: IngestionHarness, producer: Producer) -> None:
    harness.settings = {"flush_idle_s": 0.3}
    service = harness.service()
    service.start()
    probe(producer, placed("t"))
    read_all(service)
    assert harness.broker.committed("ingestion") == {}
    harness.clock.move(0.4)
    service.step()  # starts the checkpoint
    service.step()
    assert sum(harness.broker.committed("ingestion").values()) == 1
    assert harness.journal().load()[1] == []
    assert envelopes(harness.broker, FLUSHED) == []


def test_after_a_graceful_stop_the_journal_holds_no_batch_of_probes(
    harness: IngestionHarness, producer: Producer
) -> None:
    probe(producer, placed("t"))
    harness.ingest()
    assert harness.journal().load()[1] == []


def test_another_value_of_the_marker_is_not_a_probe(harness: IngestionHarness, producer: Producer) -> None:
    value = orjson.dumps(placed("a"))
    harness.broker.append([Outgoing(PLACED, value, None, (("driftloop-purpose", b"client"),), 0)])
    harness.ingest()
    assert len(harness.events("orders", PLACED)) == 1
    assert answers(harness) == []
