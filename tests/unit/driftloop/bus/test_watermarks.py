from __future__ import annotations

import pytest

from driftloop.bus.watermarks import PartitionWatermarks, lowest, take_reached


@pytest.mark.parametrize(("watermarks", "expected"), [([], None), ([3, None], None), ([3, 1, 2], 1), ([0], 0)])
def test_an_unknown_watermark_holds_back_the_others(watermarks: list[int | None], expected: int | None) -> None:
    assert lowest(watermarks) == expected


def test_the_lowest_watermark_needs_all_partitions() -> None:
    watermarks = PartitionWatermarks(2)
    watermarks.advance(0, 5)
    assert watermarks.lowest_ms is None
    watermarks.advance(1, 7)
    assert watermarks.lowest_ms == 5


def test_a_watermark_of_a_partition_does_not_move_back() -> None:
    watermarks = PartitionWatermarks(1)
    watermarks.advance(0, 5)
    watermarks.advance(0, 3)
    assert watermarks.newest == {0: 5}


def test_reached_watermarks_are_taken_once_and_in_order() -> None:
    pending = {30, 10, 20}
    assert take_reached(pending, 20) == [10, 20]
    assert pending == {30}
