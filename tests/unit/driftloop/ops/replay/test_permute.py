from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from driftloop.loop import load_loop
from driftloop.ops.replay.permute import permute_outcomes
from driftloop.process.settings import ROOT

DAY = 86_400_000
INSPECTED = load_loop(ROOT / "tests" / "loops" / "orders").definition.events["orders.inspected"]
KEPT = ["uid", "order_ref", "at_ms"]


def _table(rows_by_day: list[int]) -> pa.Table:
    days = np.repeat(np.arange(len(rows_by_day)), rows_by_day)
    number = np.arange(len(days))
    return pa.table(
        {
            "uid": [f"u{n}" for n in number],
            "at_ms": pa.array(days * DAY + number, pa.int64()),
            "order_ref": [f"o{n}" for n in number],
            "shop": [f"shop of day {day}" for day in days],
            "returned": pa.array(days * 1000 + number, pa.int64()),
        }
    )


@given(st.lists(st.integers(1, 6), min_size=1, max_size=8), st.integers(0, 5))
def test_whole_days_are_permuted(rows_by_day: list[int], seed: int) -> None:
    table = _table(rows_by_day)
    permuted = permute_outcomes(table, INSPECTED, seed)
    assert permuted.schema == table.schema
    assert permuted.select(KEPT) == table.select(KEPT)
    days = permuted.column("at_ms").to_numpy() // DAY
    givers = permuted.column("returned").to_numpy() // 1000
    given_by = {int(day): set(givers[days == day].tolist()) for day in days}
    assert all(len(days) == 1 for days in given_by.values())
    assert set.union(*given_by.values()) == set(range(len(rows_by_day)))
    # The columns of an outcome stay together.
    assert permuted.column("shop").to_pylist() == [f"shop of day {giver}" for giver in givers]


def test_a_seed_gives_one_permutation() -> None:
    table = _table([3] * 20)
    assert permute_outcomes(table, INSPECTED, 1) == permute_outcomes(table, INSPECTED, 1)
    assert permute_outcomes(table, INSPECTED, 1) != permute_outcomes(table, INSPECTED, 2)
    assert permute_outcomes(table, INSPECTED, 1) != table


def test_a_longer_day_repeats_what_a_shorter_one_gives() -> None:
    table = _table([1, 3])
    for seed in range(20):
        values = permute_outcomes(table, INSPECTED, seed).column("returned").to_pylist()
        assert values in ([0, 1001, 1002, 1003], [1001, 0, 0, 0])
