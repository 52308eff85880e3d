"""The simulation's statistics, and its policies on a world that is made up."""

import numpy as np
import pytest

from driftloop.loop import Loop
from loops.flights.simulate import line
from loops.flights.simulation import PairedBlock, SimulatedEvent, gain, log_loss

pytestmark = pytest.mark.integration


def test_log_loss_uses_the_probability_of_the_true_class() -> None:
    losses = log_loss(np.array([0.9, 0.9, 0.0]), np.array([1.0, 0.0, 0.0]))
    np.testing.assert_allclose(losses, [-np.log(0.9), -np.log(0.1), 0.0], atol=1e-6)
    assert np.isfinite(log_loss(np.array([0.0, 1.0]), np.array([1.0, 0.0]))).all()


def test_a_gain_weighs_blocks_by_their_rows(loop: Loop) -> None:
    result = gain([PairedBlock(1, 30.0, 20.0, 100), PairedBlock(2, 5.0, 6.0, 10)], loop.definition)
    assert result.estimate == pytest.approx(9.0 / 110)
    assert result.blocks == 2
    assert result.lower <= result.estimate <= result.upper


def test_the_interval_covers_the_truth_about_as_often_as_its_level(loop: Loop) -> None:
    draw = np.random.default_rng(7)
    covered = 0
    for _ in range(200):
        paired = [PairedBlock(day, 100 * loss, 0.0, 100) for day, loss in enumerate(draw.normal(0.05, 0.1, 20))]
        result = gain(paired, loop.definition)
        covered += result.lower <= 0.05 <= result.upper
    assert 0.85 <= covered / 200 <= 0.99


def test_the_line_of_a_simulation_has_verdicts_and_refusals_without_one() -> None:
    day_ms = 86_400_000
    events = [
        SimulatedEvent(0, "trained", "r1 (drift) on 10 rows", notable=False),
        SimulatedEvent(0, "refused", "r1 (drift): no better than the base rate"),
        SimulatedEvent(day_ms, "worse", "r2 in shadow: -0.1"),
        SimulatedEvent(day_ms, "refused", "r2 (drift)", notable=False),
    ]
    assert line(events) == "Jan 01 refused: r1 (drift): no better than the base rate; Jan 02 worse: r2 in shadow: -0.1"
