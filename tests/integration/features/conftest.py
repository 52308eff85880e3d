from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from feast import FeatureStore

from driftloop.featurestore.feast_client import open_store
from driftloop.loop.load import Loop
from services.features.adapters.feast_views import apply
from services.features.config import FeaturesSettings
from services.features.domain.views import ViewSpec
from tests.integration.features.orders_stream import LOOPS, PARTITIONS, Live, orders, records, rows, write_lake
from tests.unit.features.fakes import broker


@dataclass(frozen=True)
class Home:
    """A home in which the service has read all orders."""

    settings: FeaturesSettings
    store: FeatureStore
    loop: Loop
    specs: list[ViewSpec]
    rows: dict[str, pa.Table]


@pytest.fixture(scope="session", autouse=True)
def _utc() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    time.tzset()


def settings_in(folder: Path) -> FeaturesSettings:
    return FeaturesSettings(
        home=folder,
        loops_dir=LOOPS,
        loops=("orders",),
        feature_repo=LOOPS / "feature_repo",
        features_poll_timeout_s=0.001,
        features_flush_rows=300,
        features_poll_records=40,
    )


def opened(folder: Path) -> tuple[FeaturesSettings, FeatureStore, list[ViewSpec]]:
    settings = settings_in(folder)
    store = open_store(settings)
    return settings, store, apply(store, [orders()], settings.feature_repo)["orders"]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, _utc: None) -> Home:
    settings, store, specs = opened(tmp_path_factory.mktemp("home"))
    loop = orders()
    tables = rows(loop)
    write_lake(settings, loop, tables)
    bus = broker(PARTITIONS)
    bus.append(records(loop, tables))
    live = Live.over(settings, specs, bus)
    service = live.start()
    live.finish(service)
    return Home(settings, store, loop, specs, tables)
