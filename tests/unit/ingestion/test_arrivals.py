"""A partition's clock and the loop's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftloop.bus.ports import TopicPartition
from services.ingestion.domain.arrivals import (
    AGREEING,
    AGREEING_MOST,
    ArrivalRules,
    Arrivals,
    Evidence,
    Mark,
    PartitionClock,
)
from services.ingestion.domain.watermarks import Advance, LoopClock

RULES = ArrivalRules(lateness_ms=5, max_advance_ms=50)
NOTHING = Evidence()
HERE, THERE = TopicPartition("t", 0), TopicPartition("t", 1)


def read(
    times: list[int], *marks: tuple[int, int | None], clock: PartitionClock | None = None, evidence: Evidence = NOTHING
) -> Arrivals:
    times_ms = np.array(times, dtype=np.int64)
    return RULES.read(clock or PartitionClock(), times_ms, [Mark(*mark) for mark in marks], evidence)


def naive(clock: PartitionClock, times: list[int], marks: list[tuple[int, int]]) -> list[tuple[int, bool, int]]:
    """Arrival, refusal and next watermark of each row of a clock that has one, while no row is far from it."""
    watermark, explicit = clock.watermark_ms or 0, clock.explicit
    rows = []
    for row, time in enumerate(times):
        for _, at in (mark for mark in marks if mark[0] == row):
            watermark, explicit = max(at, watermark), True
        arrival, refused = watermark, explicit and time > watermark + RULES.max_advance_ms
        if not explicit:
            watermark = max(watermark, time - RULES.lateness_ms)
        rows.append((arrival, refused, watermark))
    return rows


_TIMES = st.lists(st.integers(1, 400), max_size=12)
_CLOCKS = st.builds(PartitionClock, st.none() | st.integers(0, 300), st.just(False)) | st.just(PartitionClock(90, True))
_MARKS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 400)), max_size=4)
_EVIDENCE = st.builds(Evidence, *[st.none() | st.integers(0, 400)] * 2)


@given(_CLOCKS, _TIMES, _MARKS, st.integers(0, 12), _EVIDENCE)
def test_a_clock_does_not_depend_on_how_rows_are_batched(
    clock: PartitionClock, times: list[int], marks: list[tuple[int, int]], cut: int, evidence: Evidence
) -> None:
    placed = sorted((min(row, len(times)), at) for row, at in marks)
    whole = read(times, *placed, clock=clock, evidence=evidence)
    cut = min(cut, len(times))
    first = read(times[:cut], *[mark for mark in placed if mark[0] < cut], clock=clock, evidence=evidence)
    rest = [(row - cut, at) for row, at in placed if row >= cut]
    second = read(times[cut:], *rest, clock=first.clock, evidence=evidence)
    kept = ~whole.refused
    assert [*first.refused, *second.refused] == whole.refused.tolist()
    assert np.concatenate([first.arrival_ms, second.arrival_ms])[kept].tolist() == whole.arrival_ms[kept].tolist()
    assert (second.clock, (*first.passed, *second.passed)) == (whole.clock, whole.passed)


@given(st.integers(100, 120), st.booleans(), st.lists(st.integers(90, 130), max_size=12), _MARKS)
def test_a_clock_follows_rows_and_marks_one_by_one(
    start: int, explicit: bool, times: list[int], marks: list[tuple[int, int]]
) -> None:
    placed = sorted((row, min(at, 130)) for row, at in marks if row < len(times))
    clock = PartitionClock(start, explicit)
    whole = read(times, *placed, clock=clock)
    expected = naive(clock, times, placed)
    assert list(zip(whole.arrival_ms.tolist(), whole.refused.tolist(), strict=True)) == [row[:2] for row in expected]
    assert whole.clock.watermark_ms == (expected[-1][2] if expected else start)


def watermark(times: list[int], clock: PartitionClock | None = None, evidence: Evidence = NOTHING) -> int | None:
    return read(times, clock=clock, evidence=evidence).clock.watermark_ms


def test_an_event_too_far_ahead_is_accepted_and_does_not_advance_the_clock() -> None:
    arrivals = read([100, 101, 1000, 120])
    assert not arrivals.refused.any()
    assert arrivals.clock == PartitionClock(115)
    assert arrivals.arrival_ms.tolist() == [0, 0, 96, 96]


def test_a_gap_is_over_after_events_in_a_row_that_are_ahead() -> None:
    before, after = [100, 101, 102], [300, 301, 340, 302, 303]
    assert watermark([*before, *after[:-1]]) == 97
    arrivals = read([*before, *after])
    assert arrivals.clock == PartitionClock(335)
    assert not arrivals.refused.any()


def test_a_long_gap_is_over_after_one_event_for_each_max_advance_of_it() -> None:
    before, after = [100, 101, 102], list(range(1000, 1018))
    assert (1000 - 97) // RULES.max_advance_ms == len(after)
    assert watermark([*before, *after[:-1]]) == 97
    assert watermark([*before, *after]) == after[-1] - RULES.lateness_ms


def test_events_after_a_long_gap_that_happened_just_now_move_the_clock_like_those_after_a_short_one() -> None:
    after = list(range(1000, 1005))
    assert watermark([100, 101, *after], evidence=Evidence(now_ms=1010)) == 999
    assert watermark([100, 101, 700, *after], evidence=Evidence(now_ms=1010)) == 999
    assert watermark([100, 101, *after], evidence=Evidence(now_ms=1100)) == 96


def test_a_burst_of_wrong_events_does_not_move_the_clock() -> None:
    """A producer's mistake, such as another year, which the wall clock does not rule out."""
    burst = [100 + 150 * RULES.max_advance_ms + number for number in range(149)]
    arrivals = read([100, 101, *burst, 102, 103], evidence=Evidence(now_ms=10**6))
    assert arrivals.clock == PartitionClock(98)
    assert not arrivals.refused.any()
    assert arrivals.arrival_ms.max() == 97, "no right event after the burst is late"


def test_no_gap_needs_more_than_the_most_agreeing_events() -> None:
    after = [10**9] * AGREEING_MOST
    assert watermark([100, 101, *after[:-1]]) == 96
    assert watermark([100, 101, *after]) == 10**9 - RULES.lateness_ms


def test_events_that_are_each_further_ahead_than_allowed_still_move_the_clock() -> None:
    assert watermark([100, 101, *range(200, 1200, 100)]) == 195 + 500
    assert read([100, 101, *range(200, 1200, 100)]).clock.ahead_ms == (800, 900, 1000, 1100)


def test_a_far_event_among_those_after_a_gap_does_not_move_the_clock() -> None:
    assert watermark([100, 101, 5000, 301, 302, 303, 304]) == 299


def test_events_repeated_during_a_gap_do_not_delay_its_end() -> None:
    assert watermark([100, 101, 300, 100, 301, 60, 302, 100, 303, 101, 304]) == 299


def test_a_partition_follows_another_one_of_its_loop_at_once() -> None:
    assert watermark([1000], PartitionClock(100), Evidence(elsewhere_ms=960)) == 995
    assert watermark([1000], PartitionClock(), Evidence(elsewhere_ms=960)) == 995
    assert watermark([1000], PartitionClock(100), Evidence(elsewhere_ms=940)) == 100


@pytest.mark.parametrize("wrong", [1, 10**9])
def test_one_wrong_event_does_not_start_the_clock(wrong: int) -> None:
    assert watermark([wrong]) is None
    assert watermark([wrong, 1000, 1001]) == 996


@pytest.mark.parametrize("explicit", [False, True])
def test_an_event_after_the_wall_clock_is_refused(explicit: bool) -> None:
    arrivals = read(
        [100, 200, 101], clock=PartitionClock(90, explicit), evidence=Evidence(now_ms=149, elsewhere_ms=400)
    )
    assert arrivals.refused.tolist() == [False, True, False]


def test_a_clock_that_followed_wrong_events_goes_back_but_not_behind_its_loop() -> None:
    right = [100, 101, 102, 103, 104]
    assert watermark(right[:-1], PartitionClock(995)) == 995
    assert watermark(right, PartitionClock(995)) == 99
    assert watermark(right, PartitionClock(995), Evidence(loop_ms=990)) == 990


def test_partitions_whose_events_agree_move_together() -> None:
    loop = LoopClock({TopicPartition("t", n): PartitionClock(100) for n in range(AGREEING)}, RULES)
    for number, partition in enumerate(loop.partitions):
        assert loop.advance() == ([] if number else [Advance(100, 1)])
        loop.read(partition, np.array([300 + number]), (), None)
    assert [advance.watermark_ms for advance in loop.advance()] == [295]


@pytest.mark.parametrize(("now_ms", "moves"), [(None, False), (5000, False), (1010, True)])
def test_partitions_whose_events_are_far_ahead_need_more_of_them_unless_they_happened_just_now(
    now_ms: int | None, moves: bool
) -> None:
    loop = LoopClock({TopicPartition("t", n): PartitionClock(100) for n in range(AGREEING)}, RULES)
    for number, partition in enumerate(loop.partitions):
        loop.read(partition, np.array([1000 + number]), (), now_ms)
    assert loop.advance(now_ms)[-1].watermark_ms == (995 if moves else 100)
    for number, partition in enumerate(loop.partitions):
        loop.read(partition, np.array([1010 + number] * 3), (), now_ms)
    assert loop.advance(now_ms)[-1].watermark_ms > 995


def test_two_partitions_that_agree_start_the_clocks_of_both() -> None:
    loop = LoopClock({HERE: PartitionClock(), THERE: PartitionClock()}, RULES)
    loop.read(HERE, np.array([1000]), (), None)
    assert loop.advance() == []
    loop.read(THERE, np.array([1010]), (), None)
    assert loop.advance() == [Advance(995, 1)]


def test_an_idle_partition_follows_an_event_that_happened_just_now() -> None:
    clock = read([1000], clock=PartitionClock(100)).clock
    assert RULES.settle(clock, 1010) == PartitionClock(995)
    assert RULES.settle(clock, 2000) == clock
    assert RULES.settle(clock, None) == clock


def test_an_event_too_far_ahead_of_a_producers_watermark_is_refused_unless_it_happened_just_now() -> None:
    clock = PartitionClock(100, True)
    assert read([1000], clock=clock, evidence=Evidence(now_ms=5000)).refused.all()
    arrivals = read([1000, 1001], clock=clock, evidence=Evidence(now_ms=1010))
    assert arrivals.clock == PartitionClock(100, True, (1000, 1001))
    assert not arrivals.refused.any()
    assert watermark([*range(1000, 1005)], clock, Evidence(now_ms=1010)) == 999


def test_a_producers_watermark_ends_derivation() -> None:
    arrivals = read([100, 100, 130], (2, 40))
    assert (arrivals.clock, arrivals.arrival_ms.tolist()) == (PartitionClock(95, True), [0, 0, 95])
    assert arrivals.passed == ()


@given(st.permutations([(partition, at) for partition in (HERE, THERE) for at in (10, 20, 30)]))
def test_advances_do_not_depend_on_the_order_in_which_partitions_are_read(
    order: list[tuple[TopicPartition, int]],
) -> None:
    loop = LoopClock({HERE: PartitionClock(), THERE: PartitionClock()}, RULES)
    left = {HERE: iter((10, 20, 30)), THERE: iter((10, 20, 30))}
    seen = []
    for partition, _ in order:
        at = next(left[partition])
        loop.note(partition, PartitionClock(at, True), (at,))
        seen += [(advance.watermark_ms, advance.sequence) for advance in loop.advance()]
    assert seen == [(10, 1), (20, 2), (30, 3)]


def test_the_loop_waits_for_a_partition_that_has_no_watermark() -> None:
    loop = LoopClock({HERE: PartitionClock(), THERE: PartitionClock()}, RULES)
    loop.note(HERE, PartitionClock(10, True), (10,))
    assert loop.advance() == []


def test_an_idle_partition_is_ignored_and_rejoins_at_the_loops_watermark() -> None:
    loop = LoopClock({HERE: PartitionClock(), THERE: PartitionClock(4)}, RULES)
    loop.note(HERE, PartitionClock(10), ())
    assert [advance.watermark_ms for advance in loop.advance()] == [4]
    loop.pass_over([THERE], None)
    assert [advance.watermark_ms for advance in loop.advance()] == [10]
    assert loop.clock(THERE) == PartitionClock(10)


def test_an_idle_partition_with_a_producers_watermark_holds_back_the_loop() -> None:
    loop = LoopClock({HERE: PartitionClock(20, True), THERE: PartitionClock(4, True)}, RULES)
    loop.pass_over([THERE], None)
    assert [advance.watermark_ms for advance in loop.advance()] == [4]


def test_a_loop_whose_partitions_are_all_idle_advances_to_the_newest() -> None:
    loop = LoopClock({HERE: PartitionClock(10), THERE: PartitionClock(4)}, RULES)
    loop.pass_over([HERE, THERE], None)
    assert [advance.watermark_ms for advance in loop.advance()] == [10]


def test_a_lateness_longer_than_max_advance_does_not_stop_the_clock() -> None:
    arrivals = ArrivalRules(lateness_ms=80, max_advance_ms=50).read(PartitionClock(), np.array([100, 101, 110]), ())
    assert arrivals.clock == PartitionClock(30)


def test_a_mark_that_hands_back_lets_the_clock_follow_the_events_from_there() -> None:
    before = PartitionClock(100, explicit=True)
    held = read([120, 130, 140], clock=before)
    assert (held.arrival_ms.tolist(), held.clock) == ([100, 100, 100], before)
    handed = read([120, 130, 140], (1, None), clock=before)
    assert handed.arrival_ms.tolist() == [100, 100, 125]
    assert handed.clock == PartitionClock(135)
    again = read([150], (0, 145), clock=handed.clock)
    assert again.clock == PartitionClock(145, explicit=True)


def test_a_mark_that_hands_back_before_any_watermark_changes_nothing() -> None:
    assert read([], (0, None)).clock == PartitionClock()
