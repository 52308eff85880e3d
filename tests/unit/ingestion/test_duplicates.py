"""Duplicates within a window of event time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.ingestion.domain.duplicates import DuplicateWindow

_EVENTS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 60), st.integers(0, 40)), max_size=30)


def test_the_second_of_two_equal_events_is_a_duplicate() -> None:
    window = DuplicateWindow(10)
    assert window.repeated(["a", "b", "a"], [5, 5, 5], None).tolist() == [False, False, True]
    assert window.repeated(["a"], [15], 9).tolist() == [True]


def test_an_id_repeated_after_the_window_is_new() -> None:
    window = DuplicateWindow(10)
    assert window.repeated(["a", "a"], [5, 16], None).tolist() == [False, False]


@given(_EVENTS)
def test_a_window_restored_from_accepted_rows_equals_the_original(events: list[tuple[str, int, int]]) -> None:
    half = len(events) // 2
    live, accepted, watermark = DuplicateWindow(10), [], 0
    for name, time_ms, mark in events[:half]:
        watermark = max(watermark, mark)
        if not live.repeated([name], [time_ms], watermark)[0]:
            accepted.append((name, time_ms))
    again = DuplicateWindow(10)
    since = again.horizon_ms(watermark)
    kept = [row for row in reversed(accepted) if row[1] >= since]
    again.remember([name for name, _ in kept], [time_ms for _, time_ms in kept])
    for name, time_ms, mark in events[half:]:
        watermark = max(watermark, mark)
        assert live.repeated([name], [time_ms], watermark) == again.repeated([name], [time_ms], watermark)


def test_old_ids_are_forgotten() -> None:
    window = DuplicateWindow(10)
    for start in range(0, 100_000, 1000):
        window.repeated([f"{start}-{n}" for n in range(1000)], [start] * 1000, start)
    assert len(window) < 10_000
