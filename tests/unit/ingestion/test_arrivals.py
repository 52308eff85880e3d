"""A partition's clock and the loop's."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from driftloop.bus.ports import TopicPartition
from services.ingestion.domain.arrivals import ArrivalRules, Arrivals, Mark, PartitionClock
from services.ingestion.domain.watermarks import LoopClock

RULES = ArrivalRules(lateness_ms=5, max_advance_ms=50)
HERE, THERE = TopicPartition("t", 0), TopicPartition("t", 1)


def read(times: list[int], *marks: tuple[int, int], clock: PartitionClock | None = None) -> Arrivals:
    return RULES.read(clock or PartitionClock(), np.array(times, dtype=np.int64), [Mark(*mark) for mark in marks])


def naive(
    clock: PartitionClock, times: list[int], marks: list[tuple[int, int]]
) -> tuple[list[int], list[bool], int | None]:
    """One row after the other, as the words say it."""
    watermark, explicit = clock.watermark_ms, clock.explicit
    arrival, ahead = [], []
    for row in range(len(times) + 1):
        for _, at in (mark for mark in marks if mark[0] == row):
            watermark, explicit = max(at, watermark or 0), True
        if row == len(times):
            break
        arrival.append(watermark or 0)
        ahead.append(watermark is not None and times[row] > watermark + RULES.max_advance_ms)
        if not ahead[-1] and not explicit:
            watermark = max(watermark or 0, times[row] - RULES.lateness_ms)
    return arrival, ahead, watermark


_TIMES = st.lists(st.integers(1, 400), max_size=12)
_CLOCKS = st.builds(PartitionClock, st.none() | st.integers(0, 300), st.just(False)) | st.just(PartitionClock(90, True))


@given(_CLOCKS, _TIMES, st.lists(st.tuples(st.integers(0, 12), st.integers(0, 400)), max_size=4), st.integers(0, 12))
def test_a_clock_does_not_depend_on_how_rows_are_batched(
    clock: PartitionClock, times: list[int], marks: list[tuple[int, int]], cut: int
) -> None:
    placed = sorted((min(row, len(times)), at) for row, at in marks)
    whole = read(times, *placed, clock=clock)
    assert (whole.arrival_ms.tolist(), whole.ahead.tolist(), whole.clock.watermark_ms) == naive(clock, times, placed)
    cut = min(cut, len(times))
    first = read(times[:cut], *[mark for mark in placed if mark[0] < cut], clock=clock)
    rest = [(row - cut, at) for row, at in placed if row >= cut]
    second = read(times[cut:], *rest, clock=first.clock)
    assert [*first.arrival_ms, *second.arrival_ms] == whole.arrival_ms.tolist()
    assert (second.clock, (*first.sent, *second.sent)) == (whole.clock, whole.sent)


def test_an_event_too_far_ahead_does_not_advance_the_clock() -> None:
    arrivals = read([100, 1000, 120])
    assert arrivals.ahead.tolist() == [False, True, False]
    assert arrivals.clock.watermark_ms == 115


def test_before_any_watermark_no_event_is_too_far_ahead() -> None:
    assert not read([10**12]).ahead.any()


def test_a_producers_watermark_ends_derivation() -> None:
    arrivals = read([100, 130], (1, 40))
    assert (arrivals.clock, arrivals.arrival_ms.tolist()) == (PartitionClock(95, True), [0, 95])
    assert arrivals.sent == ()


@given(st.permutations([(partition, at) for partition in (HERE, THERE) for at in (10, 20, 30)]))
def test_advances_do_not_depend_on_the_order_in_which_partitions_are_read(
    order: list[tuple[TopicPartition, int]],
) -> None:
    loop = LoopClock({HERE: PartitionClock(), THERE: PartitionClock()})
    left = {HERE: iter((10, 20, 30)), THERE: iter((10, 20, 30))}
    seen = []
    for partition, _ in order:
        at = next(left[partition])
        loop.note(partition, PartitionClock(at, True), (at,))
        seen += [(advance.watermark_ms, advance.sequence) for advance in loop.advance()]
    assert seen == [(10, 1), (20, 2), (30, 3)]


def test_the_loop_waits_for_a_partition_that_has_no_watermark() -> None:
    loop = LoopClock({HERE: PartitionClock(), THERE: PartitionClock()})
    loop.note(HERE, PartitionClock(10, True), (10,))
    assert loop.advance() == []


def test_an_idle_partition_is_ignored_and_rejoins_at_the_loops_watermark() -> None:
    loop = LoopClock({HERE: PartitionClock(), THERE: PartitionClock(4)})
    loop.note(HERE, PartitionClock(10), ())
    assert [advance.watermark_ms for advance in loop.advance()] == [4]
    loop.pass_over([THERE])
    assert [advance.watermark_ms for advance in loop.advance()] == [10]
    assert loop.clock(THERE) == PartitionClock(10)


def test_an_idle_partition_with_a_producers_watermark_holds_back_the_loop() -> None:
    loop = LoopClock({HERE: PartitionClock(20, True), THERE: PartitionClock(4, True)})
    loop.pass_over([THERE])
    assert [advance.watermark_ms for advance in loop.advance()] == [4]
