from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from driftloop.featurestore.lake import LakeTable
from driftloop.loop import Loop, load_loop
from driftloop.process.settings import ROOT, Settings
from services.monitoring.check import inspect, rows_per_block
from tests.helpers.editing import replace_once

HOUR_MS = 3_600_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Copy the loop of orders: blocks of 12 h, min_rows 10 and 50, offline.min_rows 50, validation of 2 days."""
    shutil.copytree(ROOT / "tests" / "loops" / "orders", tmp_path / "orders")
    return tmp_path / "orders"


def write(home: Path, event_type: str, per_hour: int, hours: int) -> None:
    """Write events in two commits."""
    times = [hour * HOUR_MS for hour in range(hours) for _ in range(per_hour)]
    table = LakeTable(home / "lake" / "orders" / "events" / event_type)
    for part in (times[: len(times) // 2], times[len(times) // 2 :]):
        table.append(pa.table({"event_time_ms": pa.array(part, pa.int64())}), {})


def warnings(loop: Loop, home: Path) -> tuple[str, ...]:
    found = inspect(loop, Settings(home=home))
    assert found.problems == ()
    return found.warnings


def test_a_detector_that_no_block_has_rows_for_is_reported_at_its_line(folder: Path, tmp_path: Path) -> None:
    write(tmp_path, "orders.placed", 4, 120)  # 48 a block
    write(tmp_path, "orders.inspected", 4, 120)
    where = folder / "loop.yaml"
    line = replace_once(where, "blocks: 10, min_rows: 10}", "blocks: 10, min_rows: 100}")
    returns, lines = warnings(load_loop(folder), tmp_path)
    assert returns.startswith(f"{where}:{line}: monitoring.detectors.returns.min_rows: 100, but the events in the lake")
    assert "make 48 outcomes per block of 12h; the detector judges few blocks or none." in returns
    assert "monitoring.detectors.lines.min_rows: 50, but" in lines
    assert "48 predictions per block" in lines


def test_a_holdout_that_has_too_few_rows_for_the_offline_gate_is_reported(folder: Path, tmp_path: Path) -> None:
    write(tmp_path, "orders.placed", 10, 120)
    write(tmp_path, "orders.inspected", 1, 120)  # 48 in two days
    (gate,) = warnings(load_loop(folder), tmp_path)
    assert "offline.min_rows: 50, but training.validation of 2d has 48 outcomes; every candidate is refused." in gate


def test_enough_rows_give_no_warning_and_so_does_a_lake_without_events(folder: Path, tmp_path: Path) -> None:
    assert warnings(load_loop(folder), tmp_path) == ()
    write(tmp_path, "orders.placed", 10, 120)
    assert warnings(load_loop(folder), tmp_path) == ()
    write(tmp_path, "orders.inspected", 10, 120)
    assert warnings(load_loop(folder), tmp_path) == ()


def test_a_detector_that_needs_longer_than_a_champion_lives_is_reported(folder: Path, tmp_path: Path) -> None:
    line = replace_once(folder / "loop.yaml", "blocks: 10, min_rows: 10}", "blocks: 61, min_rows: 10}")
    (warning,) = warnings(load_loop(folder), tmp_path)
    assert warning.startswith(f"{folder / 'loop.yaml'}:{line}: monitoring.detectors.returns.blocks: it needs 61 blocks")
    assert "but the schedule trains another every 30d" in warning


def test_the_volume_is_not_known_from_few_blocks(tmp_path: Path) -> None:
    write(tmp_path, "orders.placed", 10, 24)
    assert rows_per_block(tmp_path / "lake" / "orders" / "events" / "orders.placed", 12 * HOUR_MS) is None
    assert rows_per_block(tmp_path / "nothing", 12 * HOUR_MS) is None
