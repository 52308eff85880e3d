"""Training rows: our join against Feast's own, pins, order, and no value before its time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pytest
from deltalake import DeltaTable
from feast import FeatureStore
from feast.data_source import DataSource
from feast.infra.offline_stores.ibis import get_historical_features_ibis
from feast.infra.provider import get_provider

from driftloop.featurestore.feast_client import training_frame
from driftloop.featurestore.offline_store import DriftloopOfflineStore, pinned_versions
from tests.integration.features.conftest import Home
from tests.integration.features.orders_stream import WATERMARKS
from tests.loops.orders.source import SHOPS, START_MS

pytestmark = pytest.mark.integration


def entities(count: int, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    at = random.integers(START_MS, WATERMARKS[-1], count)
    at[: count // 4] = random.choice(WATERMARKS, count // 4)  # exactly when a row became available
    return pd.DataFrame(
        {
            "row": np.arange(count),
            "shop": random.choice([*SHOPS, "never seen"], count),
            "market": "all",
            "event_timestamp": pd.to_datetime(at, unit="ms", utc=True),
        }
    )


def feasts(store: FeatureStore, service: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Feast's own DuckDB join, reading the same Delta tables."""

    def read(source: DataSource, repo_path: str) -> Any:
        return ibis.memtable(DeltaTable(Path(repo_path) / source.path).to_pyarrow_table())

    views = [store.get_stream_feature_view(projection.name) for projection in _projections(store, service)]
    refs = [
        f"{projection.name}:{feature.name}"
        for projection in _projections(store, service)
        for feature in projection.features
    ]
    job = get_historical_features_ibis(
        config=store.config,
        feature_views=views,
        feature_refs=refs,
        entity_df=frame,
        registry=store.registry,
        project=store.project,
        full_feature_names=True,
        data_source_reader=read,
        data_source_writer=partial(lambda *_: None),
        filter_by_created_timestamp=True,
    )
    joined: pd.DataFrame = job.to_df()
    return joined.sort_values("row").reset_index(drop=True)


def _projections(store: FeatureStore, service: str) -> Sequence[Any]:
    projections: Sequence[Any] = store.get_feature_service(service).feature_view_projections
    return projections


def test_the_join_equals_feasts_join_in_values_and_row_order(home: Home) -> None:
    frame = entities(400)
    ours = training_frame(home.store, "orders_v1", frame, {})
    theirs = feasts(home.store, "orders_v1", frame)
    assert ours["row"].tolist() == list(range(400))
    names = [name for name in ours.columns if "__" in name]
    assert len(names) == 9
    for name in names:
        np.testing.assert_array_equal(ours[name].to_numpy(float), theirs[name].to_numpy(float), name)
    assert ours[names].notna().to_numpy().mean() > 0.5
    assert ours[ours["shop"] == "never seen"]["orders_shop_returns__count_items_back_86400s"].isna().all()


def test_a_feature_is_the_offline_row_of_the_newest_watermark_not_after_the_decision(home: Home) -> None:
    view = DeltaTable(home.settings.home / "lake" / "orders/views/orders_market_returns").to_pandas()
    view = view.sort_values("available_at")
    frame = entities(50, seed=2)
    ours = training_frame(home.store, "orders_v1", frame, {})
    for at, value in zip(frame["event_timestamp"], ours["orders_market_returns__sum_items_back_259200s"], strict=True):
        known = view[view["available_at"] <= at]["sum_items_back_259200s"]
        assert (known.iloc[-1] == value) if len(known) else np.isnan(value)


def test_a_pinned_version_hides_what_was_appended_later(home: Home) -> None:
    frame = entities(100)
    newest = DeltaTable(home.settings.home / "lake" / "orders/views/orders_shop_lines").version()
    assert newest >= 2
    with_all = training_frame(home.store, "orders_v1", frame, {"orders_shop_lines": newest})
    early = training_frame(home.store, "orders_v1", frame, {"orders_shop_lines": 0})
    column = "orders_shop_lines__count_lines_86400s"
    assert with_all[column].notna().any()
    assert early[column].isna().all()
    pd.testing.assert_frame_equal(with_all, training_frame(home.store, "orders_v1", frame, {}))
    with pinned_versions({"orders_shop_lines": 0}):
        job = home.store.get_historical_features(frame, ["orders_shop_lines:count_lines_86400s"])
    assert job.to_df()["count_lines_86400s"].isna().all()  # pinned when asked, not when read


def test_a_join_key_that_the_rows_lack_is_named(home: Home) -> None:
    frame = entities(3).drop(columns="market")
    with pytest.raises(Exception, match="market"):
        training_frame(home.store, "orders_v1", frame, {})


def test_the_settings_choose_our_offline_store(home: Home) -> None:
    assert isinstance(get_provider(home.store.config).offline_store, DriftloopOfflineStore)
