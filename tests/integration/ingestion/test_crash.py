"""Killed at any call to the outside, and started again: nothing is lost, nothing stands twice."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from driftloop.bus.ports import TopicPartition
from services.ingestion.bootstrap import World
from services.ingestion.ports import TableVersion, Unflushed
from tests.helpers.fuse import Fuse, Killed
from tests.unit.ingestion.fixtures import PAID, PLACED, Producer, paid, placed, write_loop
from tests.unit.ingestion.harness import OUTCOMES, ROWS, IngestionHarness, consume, envelopes, read_all

pytestmark = pytest.mark.integration


class Fused:
    """Passes calls on, with a spark before and after each of those named."""

    def __init__(self, inner: Any, fuse: Fuse, *names: str) -> None:
        self._inner = inner
        self._fuse = fuse
        self._names = names

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name not in self._names:
            return method

        @functools.wraps(method)
        def call(*arguments: Any, **named: Any) -> Any:
            self._fuse.spark()
            result = method(*arguments, **named)
            self._fuse.spark()
            return result

        return call


class FusedProducer(Fused):
    """May die between two records of one call."""

    def send(self, records: list[Any]) -> None:
        for start in range(0, len(records), 3):
            self._fuse.spark()
            self._inner.send(records[start : start + 3])


class FusedLake(Fused):
    """May die between two tables."""

    def append(self, unflushed: Unflushed) -> list[TableVersion]:
        none = replace(unflushed, watermarks=unflushed.watermarks.slice(0, 0), rejected=unflushed.rejected.slice(0, 0))
        first: Mapping[str, pa.Table] = {
            name: rows if name == PLACED else rows.slice(0, 0) for name, rows in unflushed.events.items()
        }
        self._fuse.spark()
        self._inner.append(replace(none, events=first))
        self._fuse.spark()
        versions: list[TableVersion] = self._inner.append(unflushed)
        self._fuse.spark()
        return versions


def fused(world: World, fuse: Fuse) -> World:
    consumer: Any = Fused(world.consumer, fuse, "poll", "commit")
    journal: Any = Fused(world.journal, fuse, "append", "checkpoint")
    producer: Any = FusedProducer(world.producer, fuse, "flush")
    lake: Any = FusedLake(world.lake, fuse)
    return replace(world, consumer=consumer, journal=journal, producer=producer, lake=lake)


def story(producer: Producer) -> None:
    """Rows of both formats, faults, late rows, duplicates within and across partitions, watermarks."""
    producer.watermark(0)
    for hour in range(3):
        for number in range(4):
            event = placed(f"{hour}-{number}", hour + number / 10, buyer=f"b{number}", amount=50 * number)
            (producer.json if number % 2 else producer.protobuf)(PLACED, event, number % 2)
        producer.json(PLACED, placed(f"{hour}-0", hour), 1)
        producer.json(PLACED, placed(f"{hour}-late", hour - 0.7), 0)
        producer.raw(PLACED, b"noise", hour % 2)
        producer.json(PAID, paid(f"{hour}", hour + 0.5, order_id=f"{hour}"), hour % 2)
        producer.watermark(hour + 1)


def outcome(harness: IngestionHarness) -> dict[str, Any]:
    """All that must not depend on where it was killed."""
    letters = sorted(
        (record.header("dlq-source"), record.header("dlq-reason"), record.value)
        for record in harness.dead_letters(PLACED)
    )
    seen = {topic: consume(harness.broker, topic) for topic in (ROWS, OUTCOMES)}
    return {
        "placed": harness.events("orders", PLACED),
        "paid": harness.events("orders", PAID),
        "rejected": harness.rejected(),
        "letters": letters,
        "rows": {key: partition.rows() for topic in seen.values() for key, partition in topic.items()},
        "watermarks": {key: partition.watermarks() for topic in seen.values() for key, partition in topic.items()},
        "lake watermarks": harness.table("orders", "watermarks").to_pylist(),
    }


def make(folder: Path, **settings: Any) -> IngestionHarness:
    harness = IngestionHarness(
        folder, [write_loop(folder / "loops")], settings={"poll_records": 17, "flush_rows": 12, **settings}
    )
    story(Producer(harness.broker, harness.loops[0]))
    return harness


def run(harness: IngestionHarness, fuse: Fuse) -> None:
    service = harness.service(lambda world: fused(world, fuse))
    service.start()
    read_all(service)
    service.finish()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], int]:
    harness = make(tmp_path_factory.mktemp("undisturbed"))
    fuse = Fuse(0)
    run(harness, fuse)
    return outcome(harness), fuse.sparks


@pytest.mark.timeout(400)
@pytest.mark.proof
def test_a_kill_at_any_call_changes_nothing(tmp_path: Path, undisturbed: tuple[dict[str, Any], int]) -> None:
    expected, sparks = undisturbed
    assert len(expected["placed"]) == 15
    assert [row["reason"] for row in expected["rejected"]].count("duplicate") == 3
    assert sparks > 40
    for at in range(1, sparks + 1):
        harness = make(tmp_path / str(at))
        with pytest.raises(Killed):
            run(harness, Fuse(at))
        if at % 2:
            harness.settings["flush_rows"] = 1000  # the next flush holds more than what was under way
        run(harness, Fuse(0))
        assert outcome(harness) == expected, f"killed at call {at}"


def test_repeated_kills_do_not_stop_progress(tmp_path: Path, undisturbed: tuple[dict[str, Any], int]) -> None:
    expected, _ = undisturbed
    harness = make(tmp_path)
    for attempt in itertools.count():
        try:
            run(harness, Fuse(9 + attempt))
            break
        except Killed:
            continue
    assert attempt > 2
    assert outcome(harness) == expected


@pytest.mark.parametrize("at", [6, 14, 23])
def test_lake_and_log_agree_if_batches_differ_after_a_kill(tmp_path: Path, at: int) -> None:
    harness = make(tmp_path)
    with pytest.raises(Killed):
        run(harness, Fuse(at))
    harness.settings = {"poll_records": 1, "flush_rows": 5}
    run(harness, Fuse(0))
    result = outcome(harness)
    stored = {(row["source_partition"], row["source_offset"]) for row in result["placed"]}
    everywhere = [
        (row["source_partition"], row["source_offset"])
        for partition in consume(harness.broker, ROWS).values()
        for _, stream, pairs in partition.rows()
        for row in [dict(pairs)]
        if stream[2] == "everywhere"
    ]
    assert sorted(everywhere) == sorted(stored)
    assert len(stored) == len(result["placed"]) == 15
    refused = {(row["source_partition"], row["source_offset"]) for row in result["rejected"]}
    assert not stored & refused


def test_a_checkpoint_deletes_the_batches_before_it(tmp_path: Path) -> None:
    harness = make(tmp_path)
    run(harness, Fuse(0))
    before = len(envelopes(harness.broker, ROWS))
    checkpoint, noted = harness.journal().load()
    assert noted == []
    assert (
        checkpoint.positions[TopicPartition(PLACED, 0)]
        == harness.broker.committed("ingestion")[TopicPartition(PLACED, 0)]
    )
    run(harness, Fuse(0))
    assert len(envelopes(harness.broker, ROWS)) == before
