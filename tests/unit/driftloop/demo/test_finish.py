from __future__ import annotations

import pytest

from driftloop.demo.finish import headline


@pytest.mark.parametrize(
    ("alarms", "said"),
    [
        (0, "no drift promotion happened, and no alarm was raised"),
        (1, "no drift promotion happened, though one alarm was raised"),
        (2, "no drift promotion happened, though 2 alarms were raised"),
    ],
)
def test_where_no_alarm_led_to_a_promotion_that_is_said(alarms: int, said: str) -> None:
    assert headline({"chain": [], "alarms": {"trigger": alarms, "watch": 5}}) == said


def test_where_one_did_that_is_said() -> None:
    assert headline({"chain": [{"id": "a"}], "alarms": {"trigger": 3, "watch": 0}}) == (
        "a drift alarm led to a promotion"
    )
