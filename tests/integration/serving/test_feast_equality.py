"""The router reads the same values as Feast's SDK."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftloop.featurestore.feast_keys import PROJECT, EntityKeys
from services.serving.router.online import ViewRequest
from services.serving.router.online_sqlite import OnlineStore

pytestmark = pytest.mark.integration

ROWS = 1000
FEATURES = ("count_3600s", "sum_delay_3600s")


@pytest.fixture
def feast_store(tmp_path: Path) -> Any:
    """A Feast store with a view of two join keys, written through Feast."""
    import pandas as pd
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import Float64, Int64, String

    store = FeatureStore(
        config=RepoConfig(
            project=PROJECT,
            provider="local",
            registry=str(tmp_path / "registry.db"),
            online_store={"type": "sqlite", "path": str(tmp_path / "online.db")},
            entity_key_serialization_version=3,
        )
    )
    depot = Entity(name="depot", join_keys=["depot"], value_type=ValueType.STRING)
    zone = Entity(name="zone", join_keys=["zone"], value_type=ValueType.INT64)
    schema = [Field(name=name, dtype=Float64) for name in FEATURES]
    view = FeatureView(
        name="parcels_lane",
        entities=[zone, depot],
        schema=[
            *schema,
            Field(name="mood", dtype=String),
            Field(name="zone", dtype=Int64),
            Field(name="depot", dtype=String),
        ],
        source=FileSource(path=str(tmp_path / "none.parquet"), timestamp_field="event_timestamp"),
        ttl=timedelta(0),
    )
    store.apply([depot, zone, view])
    random = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "depot": [f"d{n % 100}" for n in range(ROWS)],
            "zone": [n // 100 for n in range(ROWS)],
            **{name: random.normal(size=ROWS) for name in FEATURES},
            "mood": random.choice(["calm", "busy", "ünwirsch"], ROWS),
            "event_timestamp": datetime(2024, 1, 1, tzinfo=UTC),
        }
    )
    frame.loc[::7, "sum_delay_3600s"] = np.nan
    store.write_to_online_store("parcels_lane", frame)
    return store


def test_the_router_reads_a_thousand_keys_like_feast(feast_store: Any, tmp_path: Path) -> None:
    entities = [{"depot": f"d{n % 110}", "zone": n // 100} for n in range(ROWS)]
    names = [f"parcels_lane:{name}" for name in (*FEATURES, "mood")]
    wanted = feast_store.get_online_features(features=names, entity_rows=entities).to_dict()
    store = OnlineStore(tmp_path / "online.db", "parcels")
    assert store.join_keys("parcels_lane") == ("depot", "zone")
    keys = EntityKeys(("depot", "zone"))
    serialized = [keys.serialize((entity["depot"], entity["zone"])) for entity in entities]  # type: ignore[arg-type]
    rows = store.read({"parcels_lane": ViewRequest(FEATURES, ("mood",), serialized)})["parcels_lane"]
    for column, name in enumerate(FEATURES):
        expected = np.array([np.nan if value is None else value for value in wanted[name]], dtype=np.float64)
        np.testing.assert_array_equal(rows.numeric[:, column], expected)
    assert rows.strings[:, 0].tolist() == [value or "" for value in wanted["mood"]]
    assert 0 < np.isnan(rows.numeric[:, 0]).sum() < ROWS
