from __future__ import annotations

import pytest

from driftloop.ops.kpis import Period, measure
from driftloop.ops.kpis.format import NONE_YET, rows, span
from tests.helpers.lifecycle import LifecycleEvents, drifting


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0 s"), (0.025, "25 ms"), (1.5, "1.5 s"), (90, "1.5 min"), (7200, "2 h"), (86_400 * 13.5, "13.5 d")],
)
def test_a_span_is_told_in_its_largest_unit(seconds: float, told: str) -> None:
    assert span(seconds) == told


def test_where_nothing_happened_every_number_says_so() -> None:
    life = LifecycleEvents()
    life.window(0, "")
    [found] = measure(life.events, ["orders"], Period()).values()
    assert {row.event_time for row in rows(found)} == {NONE_YET}


def test_each_number_says_what_it_rests_on() -> None:
    [found] = measure(drifting().events, ["orders"], Period()).values()
    told = {row.name: row for row in rows(found)}
    assert told["time to repair"].event_time == "8 d"
    assert told["time to repair"].of == "1 alarm"
    assert told["defect rate"].of == "1 of 3 releases, 0 rollbacks"
    assert told["cycle time"].event_time == "p50 4 d, p90 7.2 d"
