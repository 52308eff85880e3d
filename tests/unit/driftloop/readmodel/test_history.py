from __future__ import annotations

import pytest

from driftloop.readmodel.history import ITSELF, live_at, serving_periods
from driftloop.readmodel.loop_history import LoopHistory
from tests.helpers.event_log import DAY_MS, LOOP, WALL_MS, two_champions

PERIODS = serving_periods(LoopHistory(LOOP, two_champions().events))


def test_every_epoch_is_a_serving_period() -> None:
    assert [(period.epoch, period.champion, period.challenger, period.stage, period.share) for period in PERIODS] == [
        (1, "r-1", "", "champion", 0.0),
        (2, "r-1", "r-2", "shadow", 0.0),
        (3, "r-1", "r-2", "canary", 0.1),
        (4, "r-2", "", "champion", 0.0),
        (5, "r-1", "", "champion", 0.0),
    ]
    assert [period.until_ms for period in PERIODS] == [*(period.since_ms for period in PERIODS[1:]), None]
    assert all(period.converged_wall_ms and period.converged_wall_ms > WALL_MS for period in PERIODS)


def test_period_has_actor_and_reason() -> None:
    assert [period.who for period in PERIODS] == [ITSELF] * 4 + ["anna"]
    assert PERIODS[3].because == "better in canary"
    assert PERIODS[4].because == "rolled back by anna: complaints"
    assert PERIODS[4].cause_id == f"{LOOP}:command"


@pytest.mark.parametrize(("day", "epoch"), [(0.5, None), (1, 1), (4.9, 1), (5, 2), (7, 3), (8.99, 3), (9, 5), (100, 5)])
def test_live_at_returns_the_period_of_a_time(day: float, epoch: int | None) -> None:
    period = live_at(PERIODS, round(day * DAY_MS))
    assert (period.epoch if period else None) == epoch


def test_other_loops_are_ignored() -> None:
    assert serving_periods(LoopHistory(LOOP, two_champions("shops").events)) == []
    assert serving_periods(LoopHistory(LOOP, [*two_champions().events, *two_champions("shops").events])) == PERIODS
