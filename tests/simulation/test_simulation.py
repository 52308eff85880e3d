"""The lifecycle services keep their promises when everything around them fails."""

from __future__ import annotations

import pytest

from tests.simulation.simulation import simulate
from tests.simulation.system import Safeguard

SEEDS = 40
CAUGHT_WITHIN = 200


@pytest.mark.parametrize("first", range(0, SEEDS, 10))
def test_no_seed_violates_an_invariant(first: int) -> None:
    outcomes = [simulate(seed) for seed in range(first, first + 10)]
    assert [(outcome.seed, outcome.violation) for outcome in outcomes if outcome.violation] == []


def test_the_seeds_reach_every_end_of_a_release() -> None:
    events = sum((simulate(seed).events for seed in range(15)), start=simulate(15).events)
    expected = ("champion-promoted", "release-rejected", "release-rolled-back")
    assert all(events[f"registry.{name}.v1"] for name in expected)
    assert events["monitoring.drift-detected.v1"]
    assert events["serving.route-failed.v1"]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_seed_always_takes_the_same_steps(seed: int) -> None:
    outcomes = [simulate(seed) for _ in range(3)]
    assert len({(outcome.digest, outcome.steps) for outcome in outcomes}) == 1


@pytest.mark.parametrize("safeguard", ["inbox", "outbox in the transaction", "epoch of the champion"])
def test_a_removed_safeguard_is_noticed(safeguard: Safeguard) -> None:
    violations = (simulate(seed, safeguard).violation for seed in range(CAUGHT_WITHIN))
    assert any(violations)
