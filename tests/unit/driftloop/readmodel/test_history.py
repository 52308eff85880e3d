from __future__ import annotations

import pytest

from driftloop.readmodel.history import ITSELF, live_at, serving_periods
from tests.helpers.story import DAY_MS, LOOP, WALL_MS, told

FOUND = serving_periods(told().events, LOOP)


def test_every_epoch_says_who_answered_until_when() -> None:
    assert [(each.epoch, each.champion, each.challenger, each.stage, each.share) for each in FOUND] == [
        (1, "r-1", "", "champion", 0.0),
        (2, "r-1", "r-2", "shadow", 0.0),
        (3, "r-1", "r-2", "canary", 0.1),
        (4, "r-2", "", "champion", 0.0),
        (5, "r-1", "", "champion", 0.0),
    ]
    assert [each.until_ms for each in FOUND] == [*(each.since_ms for each in FOUND[1:]), None]
    assert all(each.converged_wall_ms and each.converged_wall_ms > WALL_MS for each in FOUND)


def test_it_says_who_and_why() -> None:
    assert [each.who for each in FOUND] == [ITSELF] * 4 + ["anna"]
    assert FOUND[3].because == "better in canary"
    assert FOUND[4].because == "rolled back by anna: complaints"
    assert FOUND[4].cause_id == f"{LOOP}:command"


@pytest.mark.parametrize(("day", "epoch"), [(0.5, None), (1, 1), (4.9, 1), (5, 2), (7, 3), (8.99, 3), (9, 5), (100, 5)])
def test_what_was_live_at_a_moment(day: float, epoch: int | None) -> None:
    found = live_at(FOUND, round(day * DAY_MS))
    assert (found.epoch if found else None) == epoch


def test_other_loops_are_passed_over() -> None:
    assert serving_periods(told("shops").events, LOOP) == []
    assert serving_periods([*told().events, *told("shops").events], LOOP) == FOUND
