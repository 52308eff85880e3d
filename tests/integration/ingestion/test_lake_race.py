"""Two processes write one lake at the same time."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from driftloop.featurestore.lake import LakeTable
from services.ingestion.adapters.delta import DeltaLake
from tests.unit.ingestion.test_lake_writers import TOPIC, positions, unflushed

pytestmark = [pytest.mark.integration, pytest.mark.extended]

COMMITS, OVERLAP, STEPS = 200, 25, (10, 15)
"""The writers cut the same offsets into different commits."""


def _write(root: Path, step: int) -> None:
    """Append overlapping spans of offsets, each with the rows that the previous one ended with."""
    writer = DeltaLake(root)
    for number in range(COMMITS):
        writer.append(unflushed(max(0, number * step - OVERLAP), (number + 1) * step))


def test_two_processes_that_race_through_200_commits_write_every_row_once(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_write, args=(tmp_path, step)) for step in STEPS]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(300)
    assert [writer.exitcode for writer in writers] == [0, 0]
    table = LakeTable(tmp_path / "orders" / "events" / TOPIC)
    assert positions(table) == [(partition, offset) for partition in (0, 1) for offset in range(COMMITS * max(STEPS))]
    marks = LakeTable(tmp_path / "orders" / "watermarks").read()["watermark_ms"]
    assert len(marks) == len(set(marks.to_pylist()))
