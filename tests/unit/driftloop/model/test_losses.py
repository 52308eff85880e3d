from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftloop.model.labels import LabelKind, valid_outcomes
from driftloop.model.losses import PROBABILITY_FLOOR, constant_scores, losses, top_label


def test_the_log_loss_of_a_coin_is_ln_two() -> None:
    assert losses("binary", np.array([0.5, 0.5]), np.array([0.0, 1.0])) == pytest.approx([math.log(2)] * 2)


def test_a_certain_and_wrong_probability_has_a_bounded_loss() -> None:
    loss = losses("binary", np.array([0.0, 1.0]), np.array([1.0, 0.0]))
    assert loss == pytest.approx([-math.log(PROBABILITY_FLOOR)] * 2, rel=1e-6)


def test_squared_error() -> None:
    assert losses("regression", np.array([1.0, -2.0]), np.array([3.0, -2.0])).tolist() == [4.0, 0.0]


def test_poisson_deviance_is_zero_for_the_truth_and_twice_the_mean_for_a_zero_count() -> None:
    loss = losses("count", np.array([3.0, 2.5, 2.0]), np.array([3.0, 0.0, 4.0]))
    assert loss == pytest.approx([0.0, 5.0, 2 * (4 * math.log(2) - 2)])


@pytest.mark.parametrize("kind", ["binary", "regression", "count"])
@given(labels=st.lists(st.integers(0, 1), min_size=2, max_size=30), constant=st.floats(0.01, 0.99))
def test_the_mean_label_is_the_best_constant(kind: LabelKind, labels: list[int], constant: float) -> None:
    label = np.array(labels, dtype=np.float64)
    best = losses(kind, np.full(len(label), label.mean()), label).mean()
    assert best <= losses(kind, np.full(len(label), constant), label).mean() + 1e-6


def test_the_log_loss_of_a_fair_die_is_ln_six() -> None:
    assert losses("multiclass", np.full((6, 6), 1 / 6), np.arange(6.0)) == pytest.approx([math.log(6)] * 6)


@given(p=st.floats(0, 1), label=st.integers(0, 1))
def test_the_log_loss_of_two_classes_is_the_binary_one(p: float, label: int) -> None:
    correct = np.array([float(label)])
    assert losses("multiclass", np.array([[1 - p, p]]), correct) == pytest.approx(
        losses("binary", np.array([p]), correct)
    )


def test_a_certain_and_wrong_class_has_a_bounded_loss() -> None:
    loss = losses("multiclass", np.array([[1.0, 0.0, 0.0]]), np.array([2.0]))
    assert loss == pytest.approx([-math.log(PROBABILITY_FLOOR)], rel=1e-6)


ANY_NUMBER = st.floats() | st.integers(-3, 4).map(float)
KINDS: list[LabelKind] = ["binary", "regression", "count", "multiclass"]


@pytest.mark.parametrize("kind", KINDS)
@given(label=ANY_NUMBER, scores=st.tuples(*[ANY_NUMBER] * 3))
def test_no_outcome_and_no_score_has_a_loss_below_zero(
    kind: LabelKind, label: float, scores: tuple[float, ...]
) -> None:
    score = np.array([scores]) if kind == "multiclass" else np.array(scores[:1])
    [loss] = losses(kind, score, np.array([label]))
    valid = valid_outcomes(kind, np.array([label]), 3)[0] and np.isfinite(score).all()
    assert loss >= 0 if valid else math.isnan(loss)


@pytest.mark.parametrize(
    ("kind", "label"),
    [
        *[("binary", label) for label in (-1.0, 2.0, 0.5, math.nan, math.inf)],
        *[("regression", label) for label in (math.nan, -math.inf, 1e101)],
        *[("count", label) for label in (-1.0, 2.5, math.nan, math.inf)],
        *[("multiclass", label) for label in (-1.0, 3.0, 0.5, math.nan)],
    ],
)
def test_an_outcome_that_is_not_a_value_of_the_label_has_no_loss_and_the_other_rows_keep_theirs(
    kind: LabelKind, label: float
) -> None:
    score = np.full((2, 3), 1 / 3) if kind == "multiclass" else np.array([0.25, 0.25])
    assert np.isnan(losses(kind, score, np.array([label, 1.0]))).tolist() == [True, False]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_has_no_loss(kind: LabelKind, score: float) -> None:
    scores = np.array([[0.5, score, 0.5]]) if kind == "multiclass" else np.array([score])
    assert np.isnan(losses(kind, scores, np.array([1.0]))).all()


@given(
    labels=st.lists(st.integers(0, 2), min_size=2, max_size=30),
    other=st.tuples(*[st.floats(0.01, 1.0)] * 3),
)
def test_the_shares_of_the_classes_are_the_best_constant(labels: list[int], other: tuple[float, ...]) -> None:
    label = np.array(labels, dtype=np.float64)
    constant = np.tile(np.array(other) / sum(other), (len(label), 1))
    best = losses("multiclass", constant_scores("multiclass", label, constant), label).mean()
    assert best <= losses("multiclass", constant, label).mean() + 1e-6


def test_the_constant_score_of_a_count_is_its_mean() -> None:
    assert constant_scores("count", np.array([1.0, 2.0]), np.zeros(3)).tolist() == [1.5, 1.5, 1.5]


def test_a_multiclass_residual_is_confidence_minus_correctness() -> None:
    score = np.array([[0.2, 0.7, 0.1], [0.5, 0.2, 0.3]])
    confidence, correct = top_label("multiclass", score, np.array([1.0, 2.0]))
    assert (confidence.tolist(), correct.tolist()) == ([0.7, 0.5], [1.0, 0.0])


def test_a_scalar_residual_uses_the_score() -> None:
    score, label = np.array([0.2]), np.array([1.0])
    assert top_label("binary", score, label) == (score, label)
