"""No window closes before all its predictions have arrived, whatever the order of steps; each rule is necessary."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from tests.simulation.watermark_protocol.model import Bounds, Broken, Rules, search

BOUNDS = (
    Bounds(writers=1),
    Bounds(writers=2, deaths=0, leaves=0),
    Bounds(writers=2, gifts=0),
    Bounds(writers=3, deaths=0, gifts=0),
)


@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
def test_no_order_of_steps_closes_a_window_early_or_never(bounds: Bounds) -> None:
    assert search(Rules(), bounds) > 100


@pytest.mark.parametrize("rule", [rule.name for rule in fields(Rules)])
def test_each_rule_is_necessary(rule: str) -> None:
    with pytest.raises(Broken, match="after:"):
        _search_all(replace(Rules(), **{rule: False}))


def _search_all(rules: Rules) -> None:
    for bounds in BOUNDS:
        search(rules, bounds)
