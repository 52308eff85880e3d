from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftloop.losses import PROBABILITY_FLOOR, LabelKind, losses


def test_log_loss_of_a_coin_is_ln_two() -> None:
    assert losses("binary", np.array([0.5, 0.5]), np.array([0.0, 1.0])) == pytest.approx([math.log(2)] * 2)


def test_a_certain_and_wrong_probability_costs_a_bounded_loss() -> None:
    found = losses("binary", np.array([0.0, 1.0]), np.array([1.0, 0.0]))
    assert found == pytest.approx([-math.log(PROBABILITY_FLOOR)] * 2, rel=1e-6)


def test_squared_error() -> None:
    assert losses("regression", np.array([1.0, -2.0]), np.array([3.0, -2.0])).tolist() == [4.0, 0.0]


def test_poisson_deviance_is_zero_for_the_truth_and_twice_the_mean_for_a_zero_count() -> None:
    found = losses("count", np.array([3.0, 2.5, 2.0]), np.array([3.0, 0.0, 4.0]))
    assert found == pytest.approx([0.0, 5.0, 2 * (4 * math.log(2) - 2)])


@pytest.mark.parametrize("kind", ["binary", "regression", "count"])
@given(labels=st.lists(st.integers(0, 1), min_size=2, max_size=30), constant=st.floats(0.01, 0.99))
def test_the_mean_label_is_the_best_constant(kind: LabelKind, labels: list[int], constant: float) -> None:
    label = np.array(labels, dtype=np.float64)
    best = losses(kind, np.full(len(label), label.mean()), label).mean()
    assert best <= losses(kind, np.full(len(label), constant), label).mean() + 1e-6
