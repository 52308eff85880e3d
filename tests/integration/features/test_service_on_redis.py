"""The service with Redis as online store, and a Redis that loses everything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from driftloop.contracts.features_pb2 import WatermarkAdvanced
from driftloop.contracts.topics import topic_of
from driftloop.featurestore.feast_client import open_store
from services.features.adapters.delta_offline import DeltaOffline
from services.features.adapters.feast_views import apply
from services.features.adapters.redis_online import RowsLost
from services.features.domain.views import ViewSpec
from tests.helpers.redis_server import Server, installed, server
from tests.integration.features.conftest import Home, settings_in
from tests.integration.features.orders_stream import PARTITIONS, Live, orders, records
from tests.unit.features.fakes import broker

pytestmark = pytest.mark.integration

ADVANCED = topic_of(WatermarkAdvanced).name


def served(store: Any, home: Home, spec: ViewSpec) -> dict[str, list[Any]]:
    """Return what Feast serves for all entities of a view."""
    rows = DeltaOffline(home.settings.lake).newest("orders", spec)
    assert rows is not None
    entities = [dict(zip(spec.feed.join_keys, key, strict=True)) for key in rows.keys]
    answer: dict[str, list[Any]] = store.get_online_features(
        [f"{spec.view}:{name}" for name in spec.features], entities
    ).to_dict()
    return answer


@pytest.mark.parametrize("advances", [5, 100])
def test_a_restart_fills_what_redis_lost(home: Home, tmp_path: Path, advances: int) -> None:
    if not installed():
        pytest.skip("Redis is not installed; `make setup REDIS=1` installs it")
    with server(tmp_path / "redis") as redis:
        live, store = on_redis(home, tmp_path / "home", redis)
        service = live.start()
        while len(live.bus.records(ADVANCED)) < advances:
            service.step()
        redis.kill()
        redis.start()
        with pytest.raises(RowsLost):
            live.finish(service)
        live.finish(live.start())
        for spec in home.specs:
            assert served(store, home, spec) == served(home.store, home, spec)


def on_redis(home: Home, folder: Path, redis: Server) -> tuple[Live, Any]:
    settings = settings_in(folder).model_copy(update={"online_url": f"redis://127.0.0.1:{redis.port}"})
    store = open_store(settings)
    specs = apply(store, [orders()], settings.feature_repo)["orders"]
    bus = broker(PARTITIONS)
    bus.append(records(home.loop, home.rows))
    return Live.over(settings, specs, bus), store
