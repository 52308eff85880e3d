from __future__ import annotations

from datetime import date, timedelta

import pytest

from driftloop.loop import LoopDefinition, load_loop, to_ms
from driftloop.ops.demo.fault_plan import FAULT_TARGETS, plan_kills
from driftloop.ops.demo.plan import Plan
from driftloop.process.errors import ConfigError
from driftloop.process.settings import ROOT

DAY_MS = 86_400_000
PLAN = Plan(start=date(2020, 9, 13), end=date(2020, 10, 7), step=timedelta(hours=6))


@pytest.fixture(scope="module")
def orders() -> LoopDefinition:
    """First champion after 10 days, a scheduled candidate every 30."""
    return load_loop(ROOT / "tests" / "loops" / "orders").definition


def test_the_same_seed_draws_the_same_kills_and_another_seed_others(orders: LoopDefinition) -> None:
    assert plan_kills(3, 0, PLAN, orders) == plan_kills(3, 0, PLAN, orders)
    assert len({tuple(plan_kills(3, seed, PLAN, orders)) for seed in range(20)}) > 15


@pytest.mark.parametrize("seed", range(20))
def test_three_kills_take_each_service_once_in_event_time(orders: LoopDefinition, seed: int) -> None:
    kills = plan_kills(3, seed, PLAN, orders)
    assert {kill.service for kill in kills} == set(FAULT_TARGETS)
    assert kills == sorted(kills, key=lambda kill: kill.watermark_ms)


@pytest.mark.parametrize("seed", range(20))
def test_kills_are_at_step_ends_with_days_left(orders: LoopDefinition, seed: int) -> None:
    for kill in plan_kills(6, seed, PLAN, orders):
        assert (kill.watermark_ms - PLAN.start_ms) % to_ms(PLAN.step) == 0
        assert PLAN.start_ms < kill.watermark_ms <= PLAN.end_ms - 2 * DAY_MS


@pytest.mark.parametrize("seed", range(20))
def test_the_registry_is_killed_before_the_last_candidate_that_is_sure_to_come(
    orders: LoopDefinition, seed: int
) -> None:
    [moment] = [kill.watermark_ms for kill in plan_kills(3, seed, PLAN, orders) if kill.service == "registry"]
    assert moment < PLAN.start_ms + 10 * DAY_MS


def test_a_schedule_gives_the_registry_later_work(orders: LoopDefinition) -> None:
    longer = Plan(start=PLAN.start, end=date(2020, 12, 1), step=PLAN.step)
    moments = [
        kill.watermark_ms
        for seed in range(20)
        for kill in plan_kills(3, seed, longer, orders)
        if kill.service == "registry"
    ]
    assert PLAN.start_ms + 10 * DAY_MS < max(moments) < PLAN.start_ms + 60 * DAY_MS


def test_days_before_the_first_champion_are_refused(orders: LoopDefinition) -> None:
    shorter = Plan(start=PLAN.start, end=date(2020, 9, 20), step=PLAN.step)
    with pytest.raises(ConfigError, match="first champion"):
        plan_kills(3, 0, shorter, orders)


def test_more_kills_than_steps_are_refused(orders: LoopDefinition) -> None:
    with pytest.raises(ConfigError, match="needs more steps"):
        plan_kills(200, 0, PLAN, orders)


def test_zero_kills_plan_nothing(orders: LoopDefinition) -> None:
    assert plan_kills(0, 0, PLAN, orders) == []
