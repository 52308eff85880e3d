"""Training and serving agree, to the millisecond, on which rows a decision may use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from driftloop.model.bundle import Input
from services.features.adapters.delta_offline import DeltaOffline
from services.features.adapters.sqlite_online import SqliteOnline
from services.features.domain.engine import Advance, FeatureRows
from services.serving.domain.loop_config import KeySource
from services.serving.router.batch import Batch
from services.serving.router.join import Joiner, columns_of
from services.serving.router.online_sqlite import OnlineStore
from tests.integration.features.conftest import opened

pytestmark = pytest.mark.integration

T0 = 1_700_000_000_000
SHOPS = 400


def test_a_decision_uses_the_same_row_in_training_and_in_serving(tmp_path: Path) -> None:
    """Some hundred shops, each with one to three rows and a decision within the same three seconds."""
    random = np.random.default_rng(11)
    settings, store, specs = opened(tmp_path)
    spec = next(spec for spec in specs if spec.feed.join_keys == ("shop",) and spec.aggregates)
    times = {f"s{n}": np.unique(T0 + random.integers(0, 3_000, random.integers(1, 4))) for n in range(SHOPS)}
    decided = {shop: int(T0 + random.integers(0, 3_000)) for shop in times}
    for shop in list(decided)[:100]:
        decided[shop] = int(times[shop][-1]) + int(random.integers(-1, 2))  # on the row's millisecond, and beside it
    rows = []
    for watermark_ms in sorted({int(at) for written in times.values() for at in written}):
        shops = [shop for shop, written in times.items() if watermark_ms in written]
        values = np.full(len(shops), float(watermark_ms - T0 + 1))
        rows.append(FeatureRows(spec, watermark_ms, [(shop,) for shop in shops], (values,) * len(spec.features)))
    online = SqliteOnline(settings.online_db)
    for view in rows:
        online.write("orders", [spec], Advance(view.watermark_ms, (view,), 0, 0))
    online.close()
    DeltaOffline(settings.lake).append("orders", [spec], rows, rows[-1].watermark_ms, 0)

    feature = spec.features[0]
    frame = pd.DataFrame(
        {"shop": list(decided), "event_timestamp": pd.to_datetime(list(decided.values()), unit="ms", utc=True)}
    )
    history = store.get_historical_features(frame, [f"{spec.view}:{feature}"], full_feature_names=True).to_df()
    trained = history[f"{spec.view}__{feature}"].to_numpy(np.float64)

    column = Input(feature, "feature", "double", spec.view, feature)
    joiner = Joiner(
        columns_of([[column]]), {"shop": KeySource(input="shop")}, 10**12, OnlineStore(settings.online_db, "orders")
    )
    joined = joiner.join(Batch(list(decided), np.array(list(decided.values())), {"shop": list(decided)}))
    served = joined.numeric[:, 0]

    newest_is_known = np.array([times[shop][-1] <= at for shop, at in decided.items()])
    assert 100 < newest_is_known.sum() < 300
    np.testing.assert_array_equal(served[newest_is_known], trained[newest_is_known])
    assert np.isnan(served[~newest_is_known]).all()  # the online store has no earlier row
    assert [bool(stale) for stale in joined.stale] == (~newest_is_known).tolist()
