"""Redis loses acknowledged rows in a failover or a restart: this is detected, and the store is filled again."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftloop.featurestore.feast_keys import EntityKeys, redis_key
from driftloop.featurestore.online_address import OnlineAddress
from driftloop.featurestore.redis_nodes import Command, Master, OnlineStoreUnavailable, RedisNodes
from driftloop.process.errors import ConfigError
from services.features.adapters.redis_online import RedisOnline, RowsLost
from services.features.domain.engine import FeatureRows
from services.features.domain.state import FeatureState
from services.features.domain.views import ViewSpec
from services.features.refill import refill
from tests.helpers.clock import FakeClock
from tests.helpers.redis_server import Cluster, Server, cluster, server
from tests.integration.online.conftest import (
    EMPTY,
    KEYS,
    LOOP,
    ROWS,
    SPEC,
    T0,
    VIEW,
    Store,
    advance,
    entities,
    make_store,
    need_redis,
    request,
)

pytestmark = [pytest.mark.integration, pytest.mark.extended]

ALL = entities(ROWS)
VIEWS = [SPEC, EMPTY]


class Offline:
    """The offline views: the rows of a watermark, complete for all keys."""

    def __init__(self, at_ms: int, seed: int) -> None:
        self._rows = advance(at_ms, ALL, seed).views[0]

    def newest(self, loop: str, spec: ViewSpec) -> FeatureRows | None:
        return self._rows if spec.view == VIEW else None


def state(at_ms: int) -> FeatureState:
    return FeatureState(VIEWS, at_ms, 0, {}, (), "", ())


@pytest.fixture
def failing_cluster(tmp_path: Path) -> Iterator[Cluster]:
    need_redis()
    with cluster(tmp_path / "cluster") as running:
        yield running


@pytest.fixture
def failing_server(tmp_path: Path) -> Iterator[Server]:
    need_redis()
    with server(tmp_path / "redis") as running:
        yield running


def restarted(store: Store, at_ms: int, seed: int) -> RedisOnline:
    """Return the writer of the next process, after its refill from offline views that hold this watermark."""
    writer: RedisOnline = store.writer()
    assert refill(LOOP, state(at_ms), writer, Offline(at_ms, seed)) == [VIEW, EMPTY.view]
    return writer


def columns(seed: int) -> Any:
    return advance(0, ALL, seed).views[0].columns[0]


def test_rows_that_a_failover_lost_are_detected_and_filled_again(failing_cluster: Cluster, tmp_path: Path) -> None:
    store = make_store(tmp_path, failing_cluster.url)
    with closing(store.writer()) as writer, closing(store.reader()) as reader:
        writer.write(LOOP, VIEWS, advance(T0, ALL, 1))
        assert store.assert_equals_feast(ALL).watermark_ms == T0
        master = failing_cluster.master_of(redis_key(EntityKeys(KEYS).serialize(ALL[0])))
        failing_cluster.cut_replica(master)
        writer.write(LOOP, VIEWS, advance(T0 + 1000, ALL, 2))  # acknowledged
        assert reader.watermarks() == {VIEW: T0 + 1000, EMPTY.view: T0 + 1000}

        failing_cluster.fail_over(master)
        rows = reader.read({VIEW: request(ALL)})[VIEW]
        assert (rows.numeric[:, 0] != columns(2)).any()
        assert rows.watermark_ms == T0, "old rows are never reported as up to date"
        with pytest.raises(RowsLost, match="a failover or a restart lost rows"):
            writer.write(LOOP, VIEWS, advance(T0 + 2000, ALL[:1], 3))
        assert reader.watermarks() == {VIEW: T0, EMPTY.view: T0}

    with closing(restarted(store, T0 + 1000, 2)) as writer:
        rows = store.assert_equals_feast(ALL)
        np.testing.assert_array_equal(rows.numeric[1:, 0], columns(2)[1:])
        assert rows.watermark_ms == T0 + 1000
        assert rows.written_ms is not None
        assert rows.written_ms[0] == T0 + 2000, "a row of the step that failed; the step is repeated"
        writer.write(LOOP, VIEWS, advance(T0 + 2000, ALL, 3))
    rows = store.assert_equals_feast(ALL)
    np.testing.assert_array_equal(rows.numeric[:, 0], columns(3))
    assert rows.watermark_ms == T0 + 2000


def test_a_failover_that_lost_nothing_needs_no_refill(failing_cluster: Cluster, tmp_path: Path) -> None:
    store = make_store(tmp_path, failing_cluster.url)
    with closing(store.writer()) as writer, closing(store.reader()) as reader:
        writer.write(LOOP, VIEWS, advance(T0, ALL, 1))
        master = failing_cluster.master_of(redis_key(EntityKeys(KEYS).serialize(ALL[0])))
        failing_cluster.await_replica(master)
        failing_cluster.fail_over(master)
        assert reader.read({VIEW: request(ALL)})[VIEW].watermark_ms == T0
        writer.write(LOOP, VIEWS, advance(T0 + 1000, ALL, 2))
        assert reader.watermarks()[VIEW] == T0 + 1000
    np.testing.assert_array_equal(store.assert_equals_feast(ALL).numeric[:, 0], columns(2))


def test_a_restart_without_its_rows_is_detected_and_filled_again(failing_server: Server, tmp_path: Path) -> None:
    store = make_store(tmp_path, f"redis://127.0.0.1:{failing_server.port}")
    with closing(store.writer()) as writer, closing(store.reader()) as reader:
        writer.write(LOOP, VIEWS, advance(T0, ALL, 1))
        writer.check()
        failing_server.kill()
        writer.check()  # not available: the next step waits for it
        with pytest.raises(OnlineStoreUnavailable, match="check DRIFTLOOP_ONLINE_URL"):
            reader.read({VIEW: request(ALL)})
        failing_server.start()
        assert reader.read({VIEW: request(ALL)})[VIEW].watermark_ms is None
        with pytest.raises(RowsLost):
            writer.check()
        assert reader.watermarks() == {}
    with closing(restarted(store, T0, 1)):
        np.testing.assert_array_equal(store.assert_equals_feast(ALL).numeric[:, 0], columns(1))


def test_a_node_that_was_replaced_between_rows_and_mark_gets_the_rows_again(tmp_path: Path) -> None:
    need_redis()
    with server(tmp_path / "redis", "--enable-debug-command", "local") as running:
        runs: list[int] = []

        class ReplacedOnce(RedisNodes):
            def run(self, commands: Mapping[Master, Sequence[Command]]) -> dict[Master, list[Any]]:
                runs.append(sum(map(len, commands.values())))
                if len(runs) == 4:  # read settings and mark, write the rows, now set the mark
                    with running.client() as client:
                        client.execute_command("DEBUG", "CHANGE-REPL-ID")
                        client.delete(redis_key(EntityKeys(KEYS).serialize(ALL[0])))
                return super().run(commands)

        url = f"redis://127.0.0.1:{running.port}"
        store = make_store(tmp_path, url)
        address = OnlineAddress.parse(url)
        with closing(RedisOnline(address, FakeClock(), threading.Event(), nodes_of=ReplacedOnce)) as writer:
            assert writer.write(LOOP, VIEWS, advance(T0, ALL, 1)) == ROWS
        assert runs == [1, 1, ROWS + 1, 1, ROWS + 1, 1]
        rows = store.assert_equals_feast(ALL)
        np.testing.assert_array_equal(rows.numeric[:, 0], columns(1))
        assert rows.watermark_ms == T0


def test_a_writer_that_another_one_replaced_changes_nothing(failing_server: Server, tmp_path: Path) -> None:
    store = make_store(tmp_path, f"redis://127.0.0.1:{failing_server.port}")
    with closing(store.writer()) as zombie, closing(store.writer()) as writer:
        zombie.write(LOOP, VIEWS, advance(T0, ALL, 1))
        writer.write(LOOP, VIEWS, advance(T0 + 2000, ALL, 2))
        with pytest.raises(RowsLost, match="another process writes them"):
            zombie.write(LOOP, VIEWS, advance(T0 + 1000, ALL, 3))
        writer.write(LOOP, VIEWS, advance(T0 + 3000, ALL[:1], 4))
    rows = store.assert_equals_feast(ALL)
    np.testing.assert_array_equal(rows.numeric[1:, 0], columns(2)[1:])
    assert rows.watermark_ms == T0 + 3000


def test_a_server_that_evicts_rows_is_refused(tmp_path: Path) -> None:
    need_redis()
    with server(tmp_path / "redis", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru") as running:
        store = make_store(tmp_path, f"redis://127.0.0.1:{running.port}")
        with closing(store.writer()) as writer, pytest.raises(ConfigError, match="set it to noeviction"):
            writer.watermarks(LOOP)


def test_a_password_is_read_from_its_file_and_printed_nowhere(tmp_path: Path) -> None:
    need_redis()
    secret = tmp_path / "password"
    secret.write_text("0017 s{e}cret$\n")
    with server(tmp_path / "redis", "--requirepass", "0017 s{e}cret$") as running:
        store = make_store(tmp_path, f"redis://127.0.0.1:{running.port}", str(secret))
        with closing(store.writer()) as writer:
            writer.write(LOOP, VIEWS, advance(T0, ALL, 1))
        store.assert_equals_feast(ALL)
        assert "s{e}cret" not in (tmp_path / "feature_store.yaml").read_text()
        secret.write_text("wrong")
        with pytest.raises(OnlineStoreUnavailable) as raised:
            store.read(ALL)
        assert "invalid username-password pair" in str(raised.value)
        assert "wrong" not in str(raised.value).replace("WRONGPASS", "")
