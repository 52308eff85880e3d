from __future__ import annotations

from services.features.domain.watermarks import Watermarks


def test_nothing_is_due_before_every_partition_has_a_watermark() -> None:
    watermarks = Watermarks(2)
    watermarks.record(0, 10, None)
    assert watermarks.due() == []
    watermarks.record(1, 10, None)
    assert watermarks.due() == [10]


def test_no_watermark_is_skipped_if_one_partition_is_far_ahead() -> None:
    watermarks = Watermarks(2)
    for watermark_ms in (10, 20, 30):
        watermarks.record(0, watermark_ms, None)
    for watermark_ms in (10, 20):
        watermarks.record(1, watermark_ms, None)
    assert watermarks.due() == [10, 20]
    watermarks.record(1, 30, 20)
    assert watermarks.due() == [30]


def test_a_repeated_watermark_is_not_due_again() -> None:
    watermarks = Watermarks(1)
    watermarks.record(0, 10, None)
    assert watermarks.due() == [10]
    watermarks.record(0, 10, 10)
    watermarks.record(0, 5, 10)
    assert watermarks.due() == []
    assert watermarks.newest == {0: 10}
