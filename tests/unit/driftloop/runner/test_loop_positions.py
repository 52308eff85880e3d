"""Positions of loops that share topics."""

from __future__ import annotations

from driftloop.bus.ports import TopicPartition
from driftloop.runner.loop_positions import LoopPositions

HERE, THERE = TopicPartition("t", 0), TopicPartition("t", 1)


def test_a_loop_that_is_left_out_keeps_its_positions_and_continues_there() -> None:
    out = LoopPositions({HERE: 5, THERE: 7}, {}, present=["a"], known=["a", "b"])
    assert out.start() == {HERE: 5, THERE: 7}
    stored = out.apart({HERE: 9, THERE: 8})
    assert stored == {"b": {HERE: 5, THERE: 7}}
    back = LoopPositions({HERE: 9, THERE: 8}, stored, present=["a", "b"], known=["a", "b"])
    assert back.start() == {HERE: 5, THERE: 7}
    assert [back.is_new("a", HERE, offset) for offset in (5, 8, 9)] == [False, False, True]
    assert [back.is_new("b", HERE, offset) for offset in (4, 5)] == [False, True]


def test_a_restart_before_the_others_are_reached_again_reads_nothing_twice() -> None:
    back = LoopPositions({HERE: 9}, {"b": {HERE: 5}}, present=["a", "b"], known=["a", "b"])
    stored = back.apart({HERE: 6})
    again = LoopPositions({HERE: 6}, stored, present=["a", "b"], known=["a", "b"])
    assert (again.is_new("a", HERE, 8), again.is_new("b", HERE, 6), again.start()) == (False, True, {HERE: 6})
    assert back.apart({HERE: 9}) == {}


def test_a_new_loop_reads_everything_after_the_stored_positions() -> None:
    positions = LoopPositions({HERE: 5}, {}, present=["a", "new"], known=["a"])
    assert positions.start() == {HERE: 5}
    assert positions.is_new("new", HERE, 5)
