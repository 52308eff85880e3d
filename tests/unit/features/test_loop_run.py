from __future__ import annotations

import numpy as np
import pytest

from services.features.domain.events import Arrived
from services.features.domain.loop_run import LoopRun, ViewsChanged
from tests.unit.features.rows import HOUR, NEWEST, PAIRS, SHOPS, SPECS, Sale, batch, windowed

FIRST, SECOND, BOTH = np.array([0]), np.array([1]), np.array([0, 1])


def rows(*sales: Sale) -> Arrived:
    return Arrived(batch(sales))


def test_redelivered_rows_count_once_per_entity() -> None:
    run = LoopRun("sales", SPECS, 1)
    sales = rows(Sale("a", 1, 10, 0, 5.0, offset=3), Sale("b", 1, 11, 0, 7.0, offset=4))
    for feeds in ([SHOPS], [PAIRS], [SHOPS, PAIRS]):
        run.rows(0, sales, dict.fromkeys(feeds, BOTH))
    run.watermark(0, 12)
    (advance,) = run.advances()
    amounts = {view.spec.view: dict(zip(view.keys, view.columns[1].tolist(), strict=True)) for view in advance.views}
    assert amounts["by_shop"] == {("a",): 5.0, ("b",): 7.0}
    assert amounts["by_pair"] == {("a", 1): 5.0, ("b", 1): 7.0}


def test_an_entity_reads_only_its_own_rows() -> None:
    run = LoopRun("sales", SPECS, 1)
    sales = rows(Sale("a", 1, 10, 0, 5.0, offset=3), Sale("b", 1, 11, 0, 7.0, offset=4))
    run.rows(0, sales, {SHOPS: FIRST, PAIRS: SECOND})
    run.watermark(0, 12)
    (advance,) = run.advances()
    assert {view.spec.view: view.keys for view in advance.views} == {
        "by_shop": [("a",)], "newest": [("a",)], "by_pair": [("b", 1)],
    }  # fmt: skip


def test_rows_that_are_invalid_for_one_entity_are_added_for_none() -> None:
    run = LoopRun("sales", SPECS, 1)
    sales = batch([Sale("a", 1, 10, 0, 5.0)])
    with pytest.raises(IndexError):
        run.rows(0, Arrived(sales), {SHOPS: FIRST, PAIRS: SECOND})
    with pytest.raises(KeyError):
        run.rows(0, Arrived(sales.drop_columns(["town"])), {SHOPS: FIRST, PAIRS: FIRST})
    run.watermark(0, 12)
    assert [advance.rows for advance in run.advances()] == [0]


def test_rows_of_another_input_partition_are_not_repeats() -> None:
    run = LoopRun("sales", [windowed("v", SHOPS, HOUR)], 2)
    run.rows(0, rows(Sale("a", 1, 10, 0, 5.0, offset=4)), {SHOPS: FIRST})
    run.rows(1, rows(Sale("b", 1, 11, 0, 7.0, offset=3)), {SHOPS: FIRST})
    for partition in (0, 1):
        run.watermark(partition, 12)
    (advance,) = run.advances()
    assert advance.rows == 2


def test_rows_read_from_the_lake_are_not_read_again_from_the_bus() -> None:
    run = LoopRun("sales", [windowed("v", SHOPS, HOUR)], 2)
    run.mark_seen({("sale.made", 0): 4}, 2)
    run.rows(1, rows(Sale("a", 1, 10, 0, 5.0, offset=4), Sale("a", 1, 11, 0, 7.0, offset=5)), {SHOPS: BOTH})
    for partition in (0, 1):
        run.watermark(partition, 12)
    (advance,) = run.advances()
    assert [column.tolist() for column in advance.views[0].columns] == [[1.0], [7.0]]


def test_a_feed_that_no_view_reads_is_skipped() -> None:
    run = LoopRun("sales", [NEWEST], 1)
    run.rows(0, rows(Sale("a", 1, 10, 0, 5.0)), {PAIRS: FIRST})
    run.watermark(0, 12)
    assert [advance.rows for advance in run.advances()] == [0]


def test_state_of_other_views_is_refused() -> None:
    state = LoopRun("sales", [NEWEST], 1).snapshot()
    with pytest.raises(ViewsChanged, match="sales"):
        LoopRun("sales", SPECS, 1).restore(state)
