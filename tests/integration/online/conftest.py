"""One online store of each kind, with a view that Feast knows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftloop.featurestore.feast_keys import EntityKeys
from services.features.config import FeaturesSettings
from services.features.domain.engine import Advance, FeatureRows
from services.features.domain.views import Feed, Latest, ViewSpec
from services.serving.domain.loop_config import OnlineSource
from services.serving.router.online import OnlineFeatures, ViewRequest, ViewRows
from services.serving.router.open_online import open_online
from tests.helpers.clock import FakeClock
from tests.helpers.redis_server import Cluster, Server, cluster, installed, server

LOOP, VIEW = "parcels", "parcels_lane"
NUMERIC, STRINGS = ("count_3600s", "sum_delay_3600s"), ("mood",)
KEYS = ("depot", "zone")
SPEC = ViewSpec(
    VIEW, Feed("parcel.posted", KEYS), ("string", "int64"),
    latest=(*(Latest(name, "double") for name in NUMERIC), Latest("mood", "string")),
)  # fmt: skip
EMPTY = ViewSpec("parcels_empty", Feed("parcel.posted", KEYS), ("string", "int64"), latest=(Latest("n", "double"),))
T0 = 1_700_000_000_123
ROWS = 1_000


@dataclass
class Store:
    """An online store, its writer and what Feast reads from it."""

    settings: FeaturesSettings
    feast: Any
    stop: threading.Event = field(default_factory=threading.Event)

    def writer(self) -> Any:
        """Return the writer of a new process."""
        from services.features.bootstrap import open_online as open_writer

        return open_writer(self.settings, FakeClock(), self.stop)

    def reader(self) -> OnlineFeatures:
        source = OnlineSource(
            str(self.settings.online_db), self.settings.online_url, self.settings.online_password_file
        )
        return open_online(source, LOOP)

    def read(self, entities: list[tuple[str, int]]) -> ViewRows:
        with closing(self.reader()) as reader:
            return reader.read({VIEW: request(entities)})[VIEW]

    def as_feast(self, entities: list[tuple[str, int]]) -> dict[str, list[Any]]:
        names = [f"{VIEW}:{name}" for name in (*NUMERIC, *STRINGS)]
        rows = [{"depot": depot, "zone": zone} for depot, zone in entities]
        answer: dict[str, list[Any]] = self.feast.get_online_features(features=names, entity_rows=rows).to_dict()
        return answer

    def assert_equals_feast(self, entities: list[tuple[str, int]]) -> ViewRows:
        rows, wanted = self.read(entities), self.as_feast(entities)
        for column, name in enumerate(NUMERIC):
            expected = np.array([np.nan if value is None else value for value in wanted[name]], dtype=np.float64)
            np.testing.assert_array_equal(rows.numeric[:, column], expected)
        assert rows.strings[:, 0].tolist() == [value or "" for value in wanted["mood"]]
        return rows


def request(entities: list[tuple[str, int]]) -> ViewRequest:
    keys = EntityKeys(KEYS)
    return ViewRequest(NUMERIC, STRINGS, [keys.serialize(entity) for entity in entities])


def entities(count: int) -> list[tuple[str, int]]:
    """Distinct keys; some have a hash tag of Redis Cluster."""
    return [(f"d{{{n % 7}}}" if n % 5 == 0 else f"dép{n}", n) for n in range(count)]


def advance(at_ms: int, keys: list[tuple[str, int]], seed: int = 0) -> Advance:
    """Return rows of the view at a watermark, drawn from a seed; some values are missing."""
    random = np.random.default_rng(seed)
    numeric = [random.normal(size=len(keys)) for _ in NUMERIC]
    numeric[1][::7] = np.nan
    mood = random.choice(np.array(["calm", "ünwirsch", "", None], dtype=object), len(keys))
    return Advance(at_ms, (FeatureRows(SPEC, at_ms, list(keys), (*numeric, mood)),) if keys else (), 0, 0)


def make_store(folder: Path, url: str = "", password_file: str = "") -> Store:
    from feast import Entity, FeatureView, Field, FileSource, ValueType
    from feast.types import Float64, Int64, String

    from driftloop.featurestore.feast_client import open_store

    settings = FeaturesSettings(home=folder, online_url=url, online_password_file=password_file)
    feast = open_store(settings)
    depot = Entity(name="depot", join_keys=["depot"], value_type=ValueType.STRING)
    zone = Entity(name="zone", join_keys=["zone"], value_type=ValueType.INT64)
    fields = [*(Field(name=name, dtype=Float64) for name in NUMERIC), Field(name="mood", dtype=String)]
    keys = [Field(name="zone", dtype=Int64), Field(name="depot", dtype=String)]
    view = FeatureView(
        name=VIEW, entities=[zone, depot], schema=[*fields, *keys], ttl=timedelta(0),
        source=FileSource(path=str(folder / "none.parquet"), timestamp_field="event_timestamp"),
    )  # fmt: skip
    feast.apply([depot, zone, view])
    return Store(settings, feast)


def need_redis() -> None:
    if not installed():
        pytest.skip("Redis is not installed; `make setup REDIS=1` installs it")


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    need_redis()
    with server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    need_redis()
    with cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(params=["sqlite", "redis", "redis-cluster"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind."""
    if request.param == "sqlite":
        return make_store(tmp_path)
    if request.param == "redis":
        alone: Server = request.getfixturevalue("redis_server")
        with alone.client() as client:
            client.flushall()
        return make_store(tmp_path, f"redis://127.0.0.1:{alone.port}/1")
    several: Cluster = request.getfixturevalue("redis_cluster")
    for each in several.servers:
        with each.client() as client:
            if client.info("replication")["role"] == "master":
                client.flushall()
    return make_store(tmp_path, several.url)
