import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from driftloop.featurestore.feast_keys import EntityKeys, sqlite_table
from services.serving.router.online import ViewRequest
from services.serving.router.online_sqlite import OnlineStore, key_names
from tests.unit.serving.harness import DEPOT, LANE, LOOP, T0, VIEW_KEYS, WORLD, FeastFile

FEATURES = ("count_3600s", "sum_delay_3600s")


@pytest.fixture
def feast(tmp_path: Path) -> Iterator[FeastFile]:
    file = FeastFile(tmp_path / "online.db")
    yield file
    file.close()


@pytest.fixture
def store(tmp_path: Path, feast: FeastFile) -> Iterator[OnlineStore]:
    opened = OnlineStore(tmp_path / "online.db", LOOP)
    yield opened
    opened.close()


def depot(*names: str) -> list[bytes]:
    keys = EntityKeys(VIEW_KEYS[DEPOT])
    return [keys.serialize((name,)) for name in names]


def read(store: OnlineStore, *names: str) -> list[list[float]]:
    request = ViewRequest(FEATURES, (), depot(*names))
    values: list[list[float]] = store.read({DEPOT: request})[DEPOT].numeric.tolist()
    return values


def test_a_thousand_keys_are_read_as_written(feast: FeastFile, store: OnlineStore) -> None:
    random = np.random.default_rng(0)
    wanted = random.normal(size=(1000, 2))
    for n, row in enumerate(wanted.tolist()):
        feast.put(DEPOT, (f"d{n}",), dict(zip(FEATURES, row, strict=True)))
    rows = store.read({DEPOT: ViewRequest(FEATURES, (), depot(*(f"d{n}" for n in range(1000))))})[DEPOT].numeric
    np.testing.assert_array_equal(rows, wanted)


def test_absent_features_are_missing(feast: FeastFile, store: OnlineStore) -> None:
    feast.put(DEPOT, ("north",), {"count_3600s": 1.0, "sum_delay_3600s": float("nan")})
    feast.put(DEPOT, ("south",), {"sum_delay_3600s": 2.0})
    np.testing.assert_array_equal(read(store, "north", "south", "west"), [[1, np.nan], [np.nan, 2], [np.nan, np.nan]])


def test_strings_are_read_and_a_missing_one_is_empty(feast: FeastFile, store: OnlineStore) -> None:
    feast.put(DEPOT, ("north",), {"mood": "gelassen ☀"})
    feast.put(DEPOT, ("south",), {"mood": None})
    rows = store.read({DEPOT: ViewRequest((), ("mood",), depot("north", "south", "west"))})[DEPOT]
    assert rows.strings.tolist() == [["gelassen ☀"], [""], [""]]


def test_a_write_is_visible_at_the_next_read(feast: FeastFile, store: OnlineStore) -> None:
    for value in (1.0, 2.0, 3.0):
        feast.put(DEPOT, ("north",), dict.fromkeys(FEATURES, value))
        assert read(store, "north") == [[value, value]]
        assert read(store, "north") == [[value, value]]


def test_a_missing_row_is_read_after_it_is_written(feast: FeastFile, store: OnlineStore) -> None:
    assert np.isnan(read(store, "north")).all()
    feast.put(DEPOT, ("north",), dict.fromkeys(FEATURES, 5.0))
    assert read(store, "north") == [[5.0, 5.0]]


def test_only_watermarks_of_the_loop_are_read(feast: FeastFile, store: OnlineStore) -> None:
    feast.watermark([DEPOT], T0)
    feast.watermark([DEPOT, WORLD], T0 + 1, loop="other")
    assert store.watermarks() == {DEPOT: T0}
    request = ViewRequest(FEATURES, (), depot("north"))
    rows = store.read({DEPOT: request, WORLD: request})
    assert (rows[DEPOT].watermark_ms, rows[WORLD].watermark_ms) == (T0, None)


def test_join_keys_are_known_once_a_view_has_a_row(feast: FeastFile, store: OnlineStore) -> None:
    assert store.join_keys(LANE) is None
    assert store.join_keys("no_such_view") is None
    feast.put(LANE, (7, "north"), {"count_3600s": 1.0})
    assert store.join_keys(LANE) == ("depot", "zone")


def test_key_names_are_in_the_order_of_the_key() -> None:
    assert key_names(EntityKeys(("zone", "depot")).serialize((7, "n"))) == ("depot", "zone")


def test_a_store_that_does_not_exist_yet_is_empty(tmp_path: Path) -> None:
    store = OnlineStore(tmp_path / "later" / "online.db", LOOP)
    assert store.watermarks() == {}
    assert np.isnan(read(store, "north")).all()
    feast = FeastFile(tmp_path / "later" / "online.db")
    feast.put(DEPOT, ("north",), dict.fromkeys(FEATURES, 1.0))
    assert read(store, "north") == [[1.0, 1.0]]


def test_the_write_time_of_a_row_is_the_newest_of_its_features(feast: FeastFile, store: OnlineStore) -> None:
    feast.put(DEPOT, ("north",), {"count_3600s": 1.0}, T0)
    feast.put(DEPOT, ("north",), {"sum_delay_3600s": 1.0}, T0 + 60_900)
    assert store.written_ms(DEPOT, depot("north", "west")).tolist() == [T0 + 60_900, -1]


def test_the_write_time_of_an_older_versions_row_is_the_end_of_its_second(
    tmp_path: Path, feast: FeastFile, store: OnlineStore
) -> None:
    feast.put(DEPOT, ("north",), {"count_3600s": 1.0}, T0)
    with sqlite3.connect(tmp_path / "online.db") as connection:
        connection.execute(f'UPDATE "{sqlite_table(DEPOT)}" SET created_ts = event_ts')
    assert store.written_ms(DEPOT, depot("north")).tolist() == [T0 + 999]
    with sqlite3.connect(tmp_path / "online.db") as connection:
        connection.execute(f'UPDATE "{sqlite_table(DEPOT)}" SET created_ts = NULL')
    assert store.written_ms(DEPOT, depot("north")).tolist() == [T0 + 999]


def test_a_value_of_another_type_is_an_error(tmp_path: Path, store: OnlineStore) -> None:
    with sqlite3.connect(tmp_path / "online.db") as connection:
        connection.execute(
            f'INSERT INTO "{sqlite_table(DEPOT)}" (entity_key, feature_name, value) VALUES (?, ?, ?)',
            (depot("north")[0], "count_3600s", b"\x20\x07"),
        )
    with pytest.raises(sqlite3.DataError):
        read(store, "north")


def test_a_reader_holds_no_transaction_between_reads(tmp_path: Path, feast: FeastFile, store: OnlineStore) -> None:
    feast.put(DEPOT, ("north",), {"count_3600s": 1.0})
    read(store, "north")
    with sqlite3.connect(tmp_path / "online.db") as connection:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert busy == 0


def test_features_are_read_in_any_order_and_subset(feast: FeastFile, store: OnlineStore) -> None:
    keys = depot("north", "south", "west")
    for name, scale in (("west", 1.0), ("north", 10.0), ("south", 100.0)):
        feast.put(DEPOT, (name,), {"b": 2.0 * scale, "a": 1.0 * scale, "c": 3.0 * scale})
    for features in (("a", "b", "c"), ("c", "a", "b"), ("b",), ("c", "a")):
        rows = store.read({DEPOT: ViewRequest(features, (), keys)})[DEPOT].numeric
        values = {"a": 1.0, "b": 2.0, "c": 3.0}
        expected = [[values[feature] * scale for feature in features] for scale in (10.0, 100.0, 1.0)]
        np.testing.assert_array_equal(rows, expected)


def test_keys_with_different_features_are_not_mixed(feast: FeastFile, store: OnlineStore) -> None:
    feast.put(DEPOT, ("north",), {"a": 1.0})
    feast.put(DEPOT, ("south",), {"b": 2.0})
    rows = store.read({DEPOT: ViewRequest(("a", "b"), (), depot("north", "south"))})[DEPOT].numeric
    np.testing.assert_array_equal(rows, [[1, np.nan], [np.nan, 2]])
