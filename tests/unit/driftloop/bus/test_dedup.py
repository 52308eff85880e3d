from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from driftloop.bus.dedup import SourceOffsets


def _fresh(seen: SourceOffsets, offsets: list[int], stream: str = "raw/0") -> list[int]:
    array = np.array(offsets, np.int64)
    return [int(offset) for offset in array[seen.fresh(stream, array)]]


def test_a_redelivered_batch_has_no_fresh_row() -> None:
    seen = SourceOffsets()
    assert _fresh(seen, [0, 1, 5]) == [0, 1, 5]
    assert _fresh(seen, [0, 1, 5]) == []
    assert _fresh(seen, [1, 5, 6, 9]) == [6, 9]


def test_streams_are_independent() -> None:
    seen = SourceOffsets()
    assert _fresh(seen, [3], "raw/0") == [3]
    assert _fresh(seen, [3], "raw/1") == [3]


def test_an_empty_batch_changes_nothing() -> None:
    seen = SourceOffsets()
    assert _fresh(seen, []) == []
    assert _fresh(seen, [0]) == [0]


def test_an_older_batch_does_not_move_back() -> None:
    seen = SourceOffsets({"raw/0": 10})
    assert _fresh(seen, [2, 3]) == []
    assert _fresh(seen, [10, 11]) == [11]


@given(st.lists(st.integers(0, 200), unique=True, max_size=60).map(sorted), st.data())
def test_each_row_is_fresh_once_for_any_batching_and_redelivery(log: list[int], data: st.DataObject) -> None:
    seen, fresh, at = SourceOffsets(), [], 0
    while at < len(log):
        back = data.draw(st.integers(0, at))
        end = data.draw(st.integers(at + 1, len(log)))
        fresh += _fresh(seen, log[back:end])
        seen = SourceOffsets.from_json(seen.to_json())
        at = end
    assert fresh == log
