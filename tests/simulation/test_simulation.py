"""The lifecycle services keep their promises when everything around them fails."""

from __future__ import annotations

from functools import cache

import pytest

from tests.simulation.simulation import Outcome, simulate

SEEDS = 40
_CHUNK = 20


@cache
def outcome_of(seed: int) -> Outcome:
    return simulate(seed)


@pytest.mark.parametrize("first", range(0, SEEDS, _CHUNK))
def test_no_seed_violates_an_invariant(first: int) -> None:
    outcomes = [outcome_of(seed) for seed in range(first, first + _CHUNK)]
    assert [(outcome.seed, outcome.violation) for outcome in outcomes if outcome.violation] == []


def test_the_seeds_reach_every_end_of_a_release() -> None:
    topics = {topic for seed in range(SEEDS) for topic, count in outcome_of(seed).events.items() if count}
    expected = {f"registry.{end}.v1" for end in ("champion-promoted", "release-rejected", "release-rolled-back")}
    assert topics >= expected | {"monitoring.drift-detected.v1", "serving.route-failed.v1"}


@pytest.mark.parametrize("seed", range(5))
def test_a_seed_always_takes_the_same_steps(seed: int) -> None:
    outcomes = [outcome_of(seed), simulate(seed), simulate(seed)]
    assert len({(outcome.digest, outcome.steps) for outcome in outcomes}) == 1
