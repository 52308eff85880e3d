"""The simulation's statistics, and its policies on a world that is made up."""

import numpy as np
import pytest

from driftloop.loop import Loop
from loops.flights.simulate import line
from loops.flights.simulation import Happening, Paired, gain, log_loss

pytestmark = pytest.mark.integration


def test_log_loss_is_that_of_the_probability_given_to_what_happened() -> None:
    losses = log_loss(np.array([0.9, 0.9, 0.0]), np.array([1.0, 0.0, 0.0]))
    np.testing.assert_allclose(losses, [-np.log(0.9), -np.log(0.1), 0.0], atol=1e-6)
    assert np.isfinite(log_loss(np.array([0.0, 1.0]), np.array([1.0, 0.0]))).all()


def test_a_gain_weighs_blocks_by_their_rows(loop: Loop) -> None:
    found = gain([Paired(1, 30.0, 20.0, 100), Paired(2, 5.0, 6.0, 10)], loop.definition)
    assert found.estimate == pytest.approx(9.0 / 110)
    assert found.blocks == 2
    assert found.lower <= found.estimate <= found.upper


def test_the_interval_covers_the_truth_about_as_often_as_it_says(loop: Loop) -> None:
    draw = np.random.default_rng(7)
    covered = 0
    for _ in range(200):
        paired = [Paired(day, 100 * each, 0.0, 100) for day, each in enumerate(draw.normal(0.05, 0.1, 20))]
        found = gain(paired, loop.definition)
        covered += found.lower <= 0.05 <= found.upper
    assert 0.85 <= covered / 200 <= 0.99


def test_a_storys_line_tells_verdicts_and_such_refusals_as_have_none() -> None:
    day_ms = 86_400_000
    told = [
        Happening(0, "trained", "r1 (drift) on 10 rows"),
        Happening(0, "refused", "r1 (drift): no better than the base rate"),
        Happening(day_ms, "worse", "r2 in shadow: -0.1"),
        Happening(day_ms, "refused", "r2 (drift)"),
    ]
    assert line(told) == "Jan 01 refused: r1 (drift): no better than the base rate; Jan 02 worse: r2 in shadow: -0.1"
