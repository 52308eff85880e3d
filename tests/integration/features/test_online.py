"""What the service writes online is what Feast would, and what the definition says."""

from __future__ import annotations

import math
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.provider import get_provider
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from driftloop.featurestore.feast_keys import EntityKeys, sqlite_table, unpack_value
from services.features.adapters.delta_offline import DeltaOffline
from services.features.adapters.sqlite_online import SqliteOnline
from services.features.domain.engine import Advance, FeatureRows
from services.features.domain.views import ViewSpec
from tests.integration.features.conftest import Home, opened
from tests.integration.features.orders_stream import WATERMARKS

pytestmark = pytest.mark.integration


def newest(home: Home, spec: ViewSpec) -> FeatureRows:
    rows = DeltaOffline(home.settings.lake).newest("orders", spec)
    assert rows is not None
    return rows


def table(path: Path, view: str) -> dict[tuple[bytes, str], tuple[bytes, int]]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute(f'SELECT entity_key, feature_name, value, event_ts FROM "{sqlite_table(view)}"')
        return {(key, name): (value, at) for key, name, value, at in rows}


def test_feast_reads_what_the_service_wrote(home: Home) -> None:
    for spec in home.specs:
        rows = newest(home, spec)
        entities = [dict(zip(spec.feed.join_keys, key, strict=True)) for key in rows.keys]
        features = [f"{spec.view}:{name}" for name in spec.features]
        read = home.store.get_online_features(features, entities).to_dict()
        for name, column in zip(spec.features, rows.columns, strict=True):
            assert read[name] == [None if math.isnan(value) else value for value in column]


def test_every_entity_has_the_defined_values_with_late_rows(home: Home) -> None:
    at = int(WATERMARKS[-1])
    spec = next(spec for spec in home.specs if spec.view == "orders_shop_returns")
    inspected = home.rows["orders.inspected"]
    time, arrival = inspected["event_time_ms"].to_numpy(), inspected["arrival_watermark_ms"].to_numpy()
    shop, value = inspected["shop"].to_numpy(zero_copy_only=False), inspected["items_back"].to_numpy()
    rows = newest(home, spec)
    assert (np.maximum(time, arrival) > time).sum() > 10
    for number, key in enumerate(rows.keys):
        for aggregate, column in zip(spec.aggregates, rows.columns, strict=True):
            mine = (shop == key[0]) & (np.maximum(time, arrival) < at) & (time >= at - aggregate.window_ms)
            want = mine.sum() if aggregate.function == "count" else value[mine].sum()
            assert column[number] == want


def test_the_bytes_equal_those_that_feast_writes(home: Home, tmp_path: Path) -> None:
    settings, store, _ = opened(tmp_path)
    for spec in home.specs:
        rows, view = newest(home, spec), store.get_stream_feature_view(spec.view)
        at = datetime.fromtimestamp(WATERMARKS[-1] / 1000, UTC)
        batch = []
        for number, key in enumerate(rows.keys):
            entity = EntityKey(join_keys=spec.feed.join_keys, entity_values=[Value(string_val=str(key[0]))])
            values = {
                name: Value() if math.isnan(column[number]) else Value(double_val=column[number])
                for name, column in zip(spec.features, rows.columns, strict=True)
            }
            batch.append((entity, values, at, None))
        get_provider(store.config).online_write_batch(store.config, view, batch, None)
        feasts, ours = table(settings.online_db, spec.view), table(home.settings.online_db, spec.view)
        assert {key: value for key, (value, _) in feasts.items()} == {key: v for key, (v, _) in ours.items()}
        assert all(unpack_value(value) is None or unpack_value(value) >= 0 for value, _ in feasts.values())  # type: ignore[operator]


def test_every_view_has_the_last_watermark(home: Home) -> None:
    online = SqliteOnline(home.settings.online_db)
    assert dict(online.watermarks("orders")) == {spec.view: int(WATERMARKS[-1]) for spec in home.specs}
    online.close()


def test_an_unchanged_value_is_not_written_again(tmp_path: Path) -> None:
    settings, _, specs = opened(tmp_path)
    spec = next(spec for spec in specs if len(spec.features) > 1)
    online = SqliteOnline(settings.online_db)
    for at, first in ((1_000_000, 1.0), (2_000_000, 2.0)):
        columns = [np.array([first]), *[np.array([7.0])] * (len(spec.features) - 1)]
        rows = FeatureRows(spec, at, [("ash",) * len(spec.feed.join_keys)], tuple(columns))
        online.write("orders", [spec], Advance(at, (rows,), 0, 0))
    values = {
        name: (unpack_value(packed), at) for (_, name), (packed, at) in table(settings.online_db, spec.view).items()
    }
    changed, *same = spec.features
    assert values == {changed: (2.0, 2000)} | dict.fromkeys(same, (7.0, 1000))
    online.close()


def test_an_older_row_never_replaces_a_newer_one(tmp_path: Path) -> None:
    settings, _, specs = opened(tmp_path)
    spec = next(spec for spec in specs if spec.view == "orders_shop_shelf")
    online = SqliteOnline(settings.online_db)
    for loop, at, units in (("orders", 2_000_000, 2.0), ("orders", 1_000_000, 1.0), ("other", 1_000_000, 1.0)):
        rows = FeatureRows(spec, at, [("ash",)], (np.array([units]),))
        online.write(loop, [spec], Advance(at, (rows,), 0, 0))  # for the last, the row's own time decides
    ((packed, seconds),) = table(settings.online_db, spec.view).values()
    assert (unpack_value(packed), seconds) == (2.0, 2000)
    online.close()


@pytest.mark.parametrize(
    ("names", "values"),
    [
        (("shop",), ("ash",)),
        (("shop",), ("",)),
        (("shop",), ("ünï",)),
        (("id",), (-(2**40),)),
        (("b", "a", "c"), ("x", 7, "y")),
    ],
)
def test_entity_keys_equal_feasts(names: tuple[str, ...], values: tuple[str | int, ...]) -> None:
    protos = [Value(string_val=v) if isinstance(v, str) else Value(int64_val=v) for v in values]
    want = serialize_entity_key(EntityKey(join_keys=names, entity_values=protos), 3)
    assert EntityKeys(names).serialize(values) == want
