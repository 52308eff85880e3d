from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftloop.featurestore.feast_keys import EntityKeys
from driftloop.model.bundle import Input
from services.serving.domain.loop_config import KeySource, LoopConfig
from services.serving.domain.model_config import RouterPaths, loop_config
from services.serving.router.batch import Batch
from services.serving.router.join import Columns, Joined, Joiner, column_indices, columns_of, max_age_ms
from services.serving.router.online import ViewRequest, ViewRows
from tests.unit.serving.harness import CATEGORICAL, DEFINITION, DEPOT, LANE, NUMERIC, T0, VIEW_KEYS, WORLD

HOUR = 3_600_000
SOURCES = {"depot": KeySource(input="depot"), "zone": KeySource(input="zone"), "world": KeySource(const="all")}
COLUMNS = columns_of([NUMERIC, CATEGORICAL])
CONFIG = loop_config(DEFINITION, RouterPaths(*[Path("/x")] * 5))


@dataclass
class FakeOnline:
    """Rows by view and serialised key; a view without rows has no join keys."""

    rows: dict[str, dict[bytes, dict[str, float | str]]] = field(default_factory=dict)
    marks: dict[str, int] = field(default_factory=dict)
    written: dict[bytes, int] = field(default_factory=dict)

    def put(self, view: str, entity: Sequence[str | int], **values: float | str) -> bytes:
        key = EntityKeys(VIEW_KEYS[view]).serialize(entity)
        self.rows.setdefault(view, {})[key] = values
        return key

    def join_keys(self, view: str) -> tuple[str, ...] | None:
        return VIEW_KEYS[view] if view in self.rows else None

    def read(self, wanted: Mapping[str, ViewRequest]) -> dict[str, ViewRows]:
        return {view: self._view(view, request) for view, request in wanted.items()}

    def written_ms(self, view: str, entity_keys: Sequence[bytes]) -> NDArray[np.int64]:
        return np.array([self.written.get(key, -1) for key in entity_keys], dtype=np.int64)

    def watermarks(self) -> dict[str, int]:
        return self.marks

    def close(self) -> None:
        pass

    def _view(self, view: str, request: ViewRequest) -> ViewRows:
        rows = [self.rows[view].get(key, {}) for key in request.entity_keys]
        numeric = np.array([[row.get(name, np.nan) for name in request.numeric] for row in rows], dtype=np.float64)
        strings = np.array([[row.get(name, "") for name in request.strings] for row in rows], dtype=np.object_)
        return ViewRows(
            self.marks.get(view),
            numeric.reshape(len(rows), len(request.numeric)),
            strings.reshape(len(rows), len(request.strings)),
        )


def full_store() -> FakeOnline:
    store = FakeOnline(marks=dict.fromkeys(VIEW_KEYS, T0))
    store.put(DEPOT, ("north",), count_3600s=1.0, sum_delay_3600s=2.0, mood="calm")
    store.put(DEPOT, ("south",), count_3600s=3.0, sum_delay_3600s=4.0, mood="busy")
    store.put(LANE, (7, "north"), count_3600s=5.0)
    store.put(WORLD, ("all",), sum_delay_3600s=6.0)
    return store


def batch(*decision_ms: int, depots: Sequence[str] = ("north", "south", "east", "north")) -> Batch:
    n = len(decision_ms)
    columns: dict[str, list[Any]] = {"depot": list(depots[:n]), "zone": [7] * n, "weight": [0.5] * n}
    return Batch([f"p{i}" for i in range(n)], np.array(decision_ms, dtype=np.int64), columns)


def join(store: FakeOnline, rows: Batch, max_age_ms: int = 2 * HOUR) -> Joined:
    return Joiner(COLUMNS, SOURCES, max_age_ms, store).join(rows)


def by_name(joined: Joined, name: str) -> list[float]:
    index = [column.name for column in COLUMNS.numeric].index(name)
    values: list[float] = joined.numeric[:, index].tolist()
    return values


def test_every_row_is_joined_with_its_own_entities() -> None:
    joined = join(full_store(), batch(T0, T0, T0, T0))
    np.testing.assert_array_equal(by_name(joined, "parcels_depot__count_3600s"), [1, 3, np.nan, 1])
    np.testing.assert_array_equal(by_name(joined, "parcels_lane__count_3600s"), [5, np.nan, np.nan, 5])
    assert by_name(joined, "parcels_world__sum_delay_3600s") == [6, 6, 6, 6]
    assert by_name(joined, "weight") == [0.5] * 4
    assert joined.strings.tolist() == [["calm", "north"], ["busy", "south"], ["", "east"], ["calm", "north"]]
    assert joined.stale == [(), (), (), ()]


def test_an_infinite_input_is_missing() -> None:
    finite = batch(T0, T0)
    rows = Batch(finite.keys, finite.decision_ms, {**finite.columns, "weight": [np.inf, -np.inf]})
    assert np.isnan(by_name(join(full_store(), rows), "weight")).all()


def test_each_entity_is_read_once() -> None:
    reads: list[Mapping[str, ViewRequest]] = []

    class RecordingOnline(FakeOnline):
        def read(self, wanted: Mapping[str, ViewRequest]) -> dict[str, ViewRows]:
            reads.append(wanted)
            return super().read(wanted)

    full = full_store()
    join(RecordingOnline(full.rows, full.marks), batch(T0, T0, T0, T0))
    assert {view: len(request.entity_keys) for view, request in reads[0].items()} == {DEPOT: 3, LANE: 3, WORLD: 1}


def test_a_view_too_old_for_a_row_is_missing_and_listed_as_stale() -> None:
    store = full_store()
    store.marks[WORLD] = T0 - 3 * HOUR
    joined = join(store, batch(T0, T0 - 2 * HOUR))
    np.testing.assert_array_equal(by_name(joined, "parcels_world__sum_delay_3600s"), [np.nan, 6])
    assert joined.stale == [(WORLD,), ()]
    assert joined.watermark_ms == T0 - 3 * HOUR


def test_a_view_of_the_maximum_age_is_not_stale() -> None:
    assert join(full_store(), batch(T0 + 2 * HOUR)).stale == [()]
    assert join(full_store(), batch(T0 + 2 * HOUR + 1)).stale == [(DEPOT, LANE, WORLD)]


def test_a_view_that_was_never_written_is_missing_and_listed_as_stale() -> None:
    store = full_store()
    del store.rows[LANE]
    del store.marks[DEPOT]
    joined = join(store, batch(T0))
    assert joined.stale == [(DEPOT, LANE)]
    assert np.isnan(by_name(joined, "parcels_depot__count_3600s")).all()
    assert joined.strings.tolist() == [["", "north"]]


def test_a_row_written_after_the_decision_time_is_missing() -> None:
    store = full_store()
    key = store.put(DEPOT, ("north",), count_3600s=9.0)
    store.written[key] = T0
    joined = join(store, batch(T0 - 1, T0 - 1, T0 - 1))
    np.testing.assert_array_equal(by_name(joined, "parcels_depot__count_3600s"), [np.nan, 3, np.nan])
    assert joined.stale == [(DEPOT,), (), ()]


def test_a_row_that_is_newer_than_its_watermark_is_missing_for_decisions_before_it() -> None:
    class NewerRows(FakeOnline):
        def read(self, wanted: Mapping[str, ViewRequest]) -> dict[str, ViewRows]:
            written_ms = np.array([T0 + 10, -1], dtype=np.int64)
            return {
                view: replace(rows, written_ms=written_ms[: len(rows.numeric)])
                for view, rows in super().read(wanted).items()
            }

    store = NewerRows(**vars(full_store()))
    joined = join(store, batch(T0 + 9, T0 + 10, depots=("north", "north")))
    np.testing.assert_array_equal(by_name(joined, "parcels_depot__count_3600s"), [np.nan, 1])
    assert joined.stale == [(DEPOT, LANE, WORLD), ()]


def test_feature_age_is_decision_time_minus_the_oldest_watermark() -> None:
    store = full_store()
    store.marks[LANE] = T0 - 1000
    rows = batch(T0 + 500, T0 + 1500)
    assert join(store, rows).feature_age_s(rows.decision_ms).tolist() == [1.5, 2.5]


def test_without_views_the_feature_age_is_nan() -> None:
    joiner = Joiner(columns_of([NUMERIC[-1:]]), SOURCES, HOUR, FakeOnline())
    joined = joiner.join(batch(T0, T0))
    assert joined.numeric.tolist() == [[0.5], [0.5]]
    assert joined.watermark_ms == 0
    assert np.isnan(joined.feature_age_s(np.array([T0, T0]))).all()


def test_releases_with_different_inputs_share_a_join() -> None:
    other = (Input("weight", "request", "double"), NUMERIC[3])
    columns = columns_of([NUMERIC, CATEGORICAL, other, ()])
    assert len(columns.numeric) == len(NUMERIC)
    joined = Joiner(columns, SOURCES, HOUR, full_store()).join(batch(T0))
    indices = column_indices(other, columns.numeric)
    assert indices is not None
    assert joined.numeric[:, indices].tolist() == [[0.5, 6.0]]


def test_inputs_in_the_joined_order_are_not_copied() -> None:
    assert column_indices(COLUMNS.numeric, COLUMNS.numeric) is None


def limits(max_feature_age_ms: int | None, block_ms: int = HOUR, lateness_ms: int = 0) -> LoopConfig:
    return replace(CONFIG, max_feature_age_ms=max_feature_age_ms, block_ms=block_ms, lateness_ms=lateness_ms)


def windows(*features: str) -> Columns:
    return columns_of([[Input(f"v__{name}", "feature", "double", "v", name) for name in features]])


def test_the_default_limit_of_a_features_age_is_its_longest_window() -> None:
    """A frozen view is then missing instead of being served for years."""
    day = 24 * HOUR
    assert max_age_ms(windows("count_3600s", "sum_delay_minutes_604800s", "count_delay_60s"), limits(None)) == 7 * day
    assert max_age_ms(windows("count_3600s"), limits(None, block_ms=day, lateness_ms=5)) == day + 5
    assert max_age_ms(windows("newest_value", "counted_60s", "sum_60"), limits(None)) > 3650 * day
    assert max_age_ms(columns_of([[]]), limits(None)) > 3650 * day
    assert max_age_ms(windows("count_3600s"), limits(7)) == 7


def test_a_view_that_stands_still_is_missing_after_its_longest_window() -> None:
    config = limits(None)
    joined = join(full_store(), batch(T0 + HOUR, T0 + HOUR + 1), max_age_ms(COLUMNS, config))
    assert [bool(stale) for stale in joined.stale] == [False, True]
