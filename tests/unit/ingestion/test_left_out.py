"""A loop that is left out for one start, and comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftloop.contracts.ingestion_pb2 import RowsAccepted, WatermarkAdvanced
from tests.unit.ingestion.fixtures import PAID, PLACED, Producer, paid, placed, write_loop
from tests.unit.ingestion.harness import ROWS, IngestionHarness, envelopes, read_all, rows_by_entity


def send_hours(producer: Producer, hours: range) -> None:
    for hour in hours:
        for partition in (0, 1):
            producer.json(PLACED, placed(f"{hour}-{partition}", hour), partition)
            producer.json(PAID, paid(f"{hour}-{partition}", hour), partition)


def published(harness: IngestionHarness, loop: str) -> tuple[list[tuple[int, int]], list[int]]:
    """Return the source positions of one entity's rows, and the watermarks of one partition, in order."""
    rows, marks = [], []
    for record, event in envelopes(harness.broker, ROWS):
        if event.loop == loop and isinstance(event.data, RowsAccepted):
            for join_keys, own in rows_by_entity(event.data):
                if join_keys == ("everywhere",):
                    rows += [(row["source_partition"], row["source_offset"]) for row in own]
        if event.loop == loop and record.partition == 0 and isinstance(event.data, WatermarkAdvanced):
            marks.append(event.data.watermark_ms)
    return rows, marks


@pytest.mark.parametrize("killed", [False, True])
def test_it_continues_where_it_was_and_sends_no_row_again(tmp_path: Path, killed: bool) -> None:
    one, two = (write_loop(tmp_path / "loops", name, f"{name}.") for name in ("one", "two"))
    harness = IngestionHarness(tmp_path, [one, two])
    first, second = Producer(harness.broker, one, "one."), Producer(harness.broker, two, "two.")
    send_hours(first, range(6))
    send_hours(second, range(6))
    harness.ingest()
    if killed:  # with a batch of both loops in the journal
        send_hours(first, range(6, 8))
        send_hours(second, range(6, 8))
        service = harness.service()
        service.start()
        read_all(service)
    harness.loops = [two]
    send_hours(first, range(8 if killed else 6, 12))
    send_hours(second, range(8 if killed else 6, 12))
    harness.ingest()
    assert len(harness.events("two", f"two.{PLACED}")) == 24
    harness.loops = [one, two]
    harness.ingest()
    rows, marks = published(harness, "one")
    assert len(harness.events("one", f"one.{PLACED}")) == 24
    assert set(rows) == {(partition, offset) for partition in (0, 1) for offset in range(12)}
    assert killed or len(rows) == 24
    assert sorted(set(marks)) == [*dict.fromkeys(marks)]
