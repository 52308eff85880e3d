"""Two writers of one lake, as when a paused process wakes up after another one took over: every row is there once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from driftloop.featurestore import lake
from driftloop.featurestore.lake import LakeTable
from services.ingestion.adapters.delta import DeltaLake
from services.ingestion.ports import Unflushed

TOPIC = "orders.placed"


def _rows(start: int, end: int) -> pa.Table:
    """Return rows of two partitions, one at each source offset of the range."""
    offsets = list(range(start, end)) * 2
    partitions = [0] * (end - start) + [1] * (end - start)
    return pa.table(
        {
            "source_topic": [TOPIC] * len(offsets),
            "source_partition": pa.array(partitions, pa.int32()),
            "source_offset": pa.array(offsets, pa.int64()),
        }
    )


def unflushed(start: int, end: int) -> Unflushed:
    rows = _rows(start, end)
    marks = pa.table({"watermark_ms": pa.array([end], pa.int64()), "sequence": pa.array([end], pa.int64())})
    return Unflushed("orders", {TOPIC: rows}, rows.slice(0, 0), marks)


def positions(table: LakeTable) -> list[tuple[int, int]]:
    rows = table.read()
    return sorted(zip(rows["source_partition"].to_pylist(), rows["source_offset"].to_pylist(), strict=True))


def test_a_commit_between_the_look_and_the_append_doubles_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zombie, owner = DeltaLake(tmp_path), DeltaLake(tmp_path)
    zombie.append(unflushed(0, 10))

    def write_after_the_owner(*arguments: Any, **options: Any) -> None:
        monkeypatch.setattr(lake, "write_deltalake", write_deltalake)
        owner.append(unflushed(10, 20))
        write_deltalake(*arguments, **options)

    monkeypatch.setattr(lake, "write_deltalake", write_after_the_owner)
    zombie.append(unflushed(10, 30))
    table = LakeTable(tmp_path / "orders" / "events" / TOPIC)
    assert positions(table) == [(partition, offset) for partition in (0, 1) for offset in range(30)]
