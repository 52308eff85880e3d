"""Writes a home with orders: the lake's event tables, offline views and Feast's registry.

The views are computed by brute force per hour, so tests of a run do not need the features service.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from driftloop.featurestore.lake import LakeTable
from driftloop.process.settings import Settings
from tests.loops.orders.source import DAY_MS, HOUR_MS, SHOPS, OrderHistory, invent

LOOPS = Path(__file__).resolve().parents[2] / "loops"
FEATURE_REPO = LOOPS / "feature_repo"


@dataclass(frozen=True)
class Home:
    """Settings of the home, and the version of each table."""

    settings: Settings
    events: Mapping[str, tuple[str, int]]
    views: Mapping[str, tuple[str, int]]


def make_home(folder: Path, story: OrderHistory) -> Home:
    """Write the home's files below a folder."""
    settings = Settings(home=folder, loops_dir=LOOPS, loops=("orders",), feature_repo=FEATURE_REPO)
    raw = invent(story)
    accepted = {name: _accepted(name, table) for name, table in raw.items()}
    lake = {
        name: _write(settings.home / "lake" / "orders" / "events" / name, table) for name, table in accepted.items()
    }
    hours = np.arange(story.start_ms, story.start_ms + story.days * DAY_MS + 1, HOUR_MS)
    views = {
        name: _write(settings.home / "lake" / "orders" / "views" / name, table)
        for name, table in _views(raw, hours).items()
    }
    _apply(settings)
    return Home(settings, lake, views)


def _write(path: Path, rows: pa.Table) -> tuple[str, int]:
    return str(path), LakeTable(path).append(rows, {})


def _accepted(event_type: str, rows: pa.Table) -> pa.Table:
    """Return rows with the standard columns, with a watermark each hour."""
    at_ms = rows["at_ms"].to_numpy()
    standard = {
        "event_id": rows["uid"],
        "event_time_ms": at_ms,
        "arrival_watermark_ms": at_ms // HOUR_MS * HOUR_MS,
        "source_topic": np.full(len(at_ms), event_type),
        "source_partition": np.zeros(len(at_ms), np.int32),
        "source_offset": np.arange(len(at_ms)),
    }
    return pa.table({**standard, **{name: rows[name] for name in rows.column_names}})


def _views(raw: Mapping[str, pa.Table], hours: Any) -> dict[str, pa.Table]:
    inspected, placed, shelved = raw["orders.inspected"], raw["orders.placed"], raw["shops.shelved"]
    by_shop = {shop: inspected.filter(pc.equal(inspected["shop"], shop)) for shop in SHOPS}
    lines = {shop: placed.filter(pc.equal(placed["shop"], shop)) for shop in SHOPS}
    day, week = (DAY_MS, "86400s"), (7 * DAY_MS, "604800s")
    return {
        "orders_shop_returns": _windows("shop", by_shop, "returned", "items_back", hours, (day, week)),
        "orders_market_returns": _windows(
            "market", {"all": inspected}, "returned", "items_back", hours, ((3 * DAY_MS, "259200s"),)
        ),
        "orders_shop_lines": _windows("shop", lines, "lines", "lines", hours, (day,)),
        "orders_shop_shelf": _latest(shelved),
    }


def _windows(key: str, groups: Mapping[str, pa.Table], column: str, name: str, hours: Any, windows: Any) -> pa.Table:
    parts = []
    for value, rows in groups.items():
        at_ms, total = rows["at_ms"].to_numpy(), np.append(0, np.cumsum(rows[column].to_numpy()))
        columns: dict[str, Any] = {key: np.full(len(hours), value)}
        for length_ms, label in windows:
            first, last = np.searchsorted(at_ms, hours - length_ms), np.searchsorted(at_ms, hours)
            columns[f"count_{name}_{label}"] = (last - first).astype(np.float64)
            columns[f"sum_{name}_{label}"] = (total[last] - total[first]).astype(np.float64)
        parts.append(pa.table({**columns, **_times(hours)}))
    return pa.concat_tables(parts)


def _latest(rows: pa.Table) -> pa.Table:
    seen = (rows["at_ms"].to_numpy() // HOUR_MS + 1) * HOUR_MS
    return pa.table({"shop": rows["shop"], "shelf_units": rows["shelf_units"], **_times(seen)})


def _times(at_ms: Any) -> dict[str, pa.Array]:
    instants = pa.array(at_ms * 1000, pa.timestamp("us", tz="UTC"))
    return {"event_timestamp": instants, "available_at": instants, "written_at": instants}


def _apply(settings: Settings) -> None:
    from feast import Entity, FeatureService, FeatureView

    from driftloop.featurestore.feast_client import open_store

    spec = importlib.util.spec_from_file_location("feature_repo.orders", FEATURE_REPO / "orders.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["feature_repo.orders"] = module
    spec.loader.exec_module(module)
    objects = [value for value in vars(module).values() if isinstance(value, Entity | FeatureView | FeatureService)]
    open_store(settings).apply(objects)
