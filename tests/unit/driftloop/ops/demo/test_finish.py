from __future__ import annotations

from datetime import date

import pytest

from driftloop.events.envelope import rfc3339
from driftloop.loop import load_loop, to_ms
from driftloop.ops.demo.finish import headline, opened_too_late
from driftloop.ops.demo.plan import Plan
from driftloop.process.settings import ROOT


@pytest.mark.parametrize(
    ("alarms", "expected"),
    [
        (0, "no drift promotion happened, and no alarm was raised"),
        (1, "no drift promotion happened, though one alarm was raised"),
        (2, "no drift promotion happened, though 2 alarms were raised"),
    ],
)
def test_the_headline_says_that_no_alarm_led_to_a_promotion(alarms: int, expected: str) -> None:
    assert headline({"chain": [], "alarms": {"trigger": alarms, "watch": 5}}) == expected


def test_the_headline_says_that_an_alarm_led_to_a_promotion() -> None:
    assert headline({"chain": [{"id": "a"}], "alarms": {"trigger": 3, "watch": 0}}) == (
        "a drift alarm led to a promotion"
    )


def test_an_alarm_near_the_end_is_not_a_problem() -> None:
    loop = load_loop(ROOT / "tests" / "loops" / "orders").definition
    plan = Plan(start=date(2020, 9, 1), end=date(2020, 12, 1))
    longest_ms = sum(step.max_blocks for step in loop.rollout.steps) * to_ms(loop.monitoring.block)
    last_ms = plan.end_ms - longest_ms - to_ms(loop.monitoring.block) - to_ms(loop.label.horizon)
    chains = [[{"correlationid": f"{at_ms}", "event_time": rfc3339(at_ms)}] for at_ms in (last_ms, last_ms + 1)]
    report = {"unended_alarms": [f"{last_ms}", f"{last_ms + 1}"], "chains": chains}
    assert opened_too_late(report, loop, plan) == [f"{last_ms + 1}"]
