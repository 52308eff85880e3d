"""Restart and backfill on real stores: the same rows as if nothing had happened."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pyarrow as pa
import pytest

from driftloop.featurestore.lake import LakeTable
from driftloop.process.errors import ConfigError
from services.features.adapters.delta_offline import DeltaOffline
from services.features.adapters.single_writer import claim
from services.features.adapters.sqlite_online import SqliteOnline
from services.features.backfill import backfill
from services.features.bootstrap import lock_path
from services.features.domain.views import ViewSpec
from services.features.handlers import TOPIC
from services.features.refill import refill
from services.features.restore import restored
from tests.integration.features.conftest import Home, opened, settings_in
from tests.integration.features.orders_stream import PARTITIONS, WATERMARKS, Live, records, write_lake
from tests.integration.features.test_online import table
from tests.unit.features.fakes import broker

pytestmark = pytest.mark.integration


def offline(lake: Path, spec: ViewSpec) -> pa.Table:
    rows = LakeTable(lake / "orders" / "views" / spec.view).read().drop_columns(["written_at"])
    return rows.sort_by([("available_at", "ascending"), *((name, "ascending") for name in spec.feed.join_keys)])


def assert_same(home: Home, folder: Path) -> None:
    for spec in home.specs:
        assert offline(folder / "lake", spec).equals(offline(home.settings.home / "lake", spec)), spec.view
        online = table(folder / "online" / "online.db", spec.view)
        assert online == table(home.settings.online_db, spec.view), spec.view


@pytest.mark.parametrize("steps", [2, 9, 17])
def test_a_service_killed_after_some_steps_ends_with_the_same_rows(home: Home, tmp_path: Path, steps: int) -> None:
    settings, _, specs = opened(tmp_path)
    bus = broker(PARTITIONS)
    bus.append(records(home.loop, home.rows))
    live = Live.over(settings, specs, bus)
    dying = live.start()
    for _ in range(steps):
        dying.step()
    live.finish(live.start())
    assert_same(home, tmp_path)


def test_a_backfill_gives_the_live_engines_rows_late_ones_included(home: Home, tmp_path: Path) -> None:
    settings, _, specs = opened(tmp_path)
    write_lake(settings, home.loop, home.rows)
    done = backfill(settings, "orders", specs)
    assert done["watermark_ms"] == int(WATERMARKS[-1])
    for spec in specs:
        assert offline(settings.home / "lake", spec).equals(offline(home.settings.home / "lake", spec)), spec.view


def test_after_a_backfill_the_service_continues_and_reads_no_row_twice(home: Home, tmp_path: Path) -> None:
    settings, _, specs = opened(tmp_path)
    half = len(WATERMARKS) // 2
    until = {name: rows.filter(_arrived_before(rows, int(WATERMARKS[half]))) for name, rows in home.rows.items()}
    for name, rows in until.items():
        LakeTable(settings.lake / "orders" / "events" / name).append(rows, {})
    marks = pa.table({"watermark_ms": WATERMARKS[: half + 1], "sequence": pa.array(range(half + 1))})
    LakeTable(settings.lake / "orders" / "watermarks").append(marks, {})
    backfill(settings, "orders", specs)
    bus = broker(PARTITIONS)
    bus.append(records(home.loop, home.rows))
    live = Live.over(settings, specs, bus)
    checkpoint = live.checkpoints.load()
    assert checkpoint is not None
    online = SqliteOnline(settings.online_db)
    assert refill("orders", checkpoint.loops["orders"], online, DeltaOffline(settings.lake)) != []
    live.finish(live.start())
    assert_same(home, tmp_path)


def _arrived_before(rows: pa.Table, watermark_ms: int) -> pa.Array:
    return pa.array(rows["arrival_watermark_ms"].to_numpy() < watermark_ms)


def test_a_lost_online_store_is_filled_from_the_lake(home: Home, tmp_path: Path) -> None:
    shutil.copytree(home.settings.home, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "online")
    settings, _, specs = opened(tmp_path)
    checkpoint = Live.over(settings, specs, broker()).checkpoints.load()
    assert checkpoint is not None
    online = SqliteOnline(settings.online_db)
    assert set(refill("orders", checkpoint.loops["orders"], online, DeltaOffline(settings.lake))) == {
        spec.view for spec in specs
    }
    assert refill("orders", checkpoint.loops["orders"], online, DeltaOffline(settings.lake)) == []
    for spec in specs:
        values = {key: value for key, (value, _) in table(settings.online_db, spec.view).items()}
        assert values == {key: value for key, (value, _) in table(home.settings.online_db, spec.view).items()}


def test_changed_views_stop_the_start_and_name_the_command(home: Home) -> None:
    live = Live.over(home.settings, home.specs, broker())
    checkpoint = live.checkpoints.load()
    assert checkpoint is not None
    with pytest.raises(ConfigError, match=r"services\.features\.backfill"):
        restored({"orders": home.specs[1:]}, live.bus.partitions(TOPIC), checkpoint)


def test_a_backfill_during_the_service_is_refused(home: Home, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with claim(lock_path(settings)), pytest.raises(ConfigError, match="stop it first"):
        backfill(settings, "orders", home.specs)


def test_the_online_store_is_in_wal_mode(home: Home) -> None:
    with sqlite3.connect(home.settings.online_db) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
