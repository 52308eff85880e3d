from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftloop.model.labels import LabelKind
from driftloop.model.losses import losses
from services.training.domain.quality import auc, metrics


@pytest.mark.parametrize(
    ("kind", "score", "label", "loss"),
    [
        ("binary", 0.25, 1.0, -math.log(0.25)),
        ("binary", 0.25, 0.0, -math.log(0.75)),
        ("binary", 0.0, 1.0, -math.log(1e-7)),
        ("regression", 3.0, 1.0, 4.0),
        ("count", 2.0, 0.0, 4.0),
        ("count", 2.0, 3.0, 2 * (3 * math.log(1.5) - 1)),
    ],
)
def test_losses_follow_their_formulas(kind: LabelKind, score: float, label: float, loss: float) -> None:
    assert losses(kind, np.array([score]), np.array([label]))[0] == pytest.approx(loss, rel=1e-9)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_auc_equals_counting_pairs(rows: list[tuple[int, bool]]) -> None:
    score, label = np.array([r[0] for r in rows], float), np.array([r[1] for r in rows], float)
    above = [(p > n) + 0.5 * (p == n) for p in score[label > 0] for n in score[label == 0]]
    area = auc(score, label)
    assert math.isnan(area) if not above else area == pytest.approx(np.mean(above))


def test_metrics_compare_with_the_training_mean() -> None:
    values = metrics("regression", np.array([1.0, 3.0]), np.array([1.0, 2.0]), np.array([0.0, 2.0]))
    assert values == {
        "loss": 0.5,
        "base_loss": 0.5,
        "base_rate": 1.0,
        "label_mean": 1.5,
        "score_mean": 2.0,
        "calibration": 0.5,
    }


def test_an_undefined_auc_is_left_out() -> None:
    assert "auc" not in metrics("binary", np.array([0.5]), np.array([1.0]), np.array([1.0, 0.0]))


def test_with_classes_metrics_use_the_likeliest_class_and_the_training_shares() -> None:
    score = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    values = metrics("multiclass", score, np.array([0.0, 1.0]), np.array([0.0, 0.0, 1.0, 2.0]))
    assert values == pytest.approx(
        {
            "loss": -(math.log(0.7) + math.log(0.3)) / 2,
            "base_loss": -(math.log(0.5) + math.log(0.25)) / 2,
            "base_rate": 0.5,
            "label_mean": 0.5,
            "score_mean": 0.65,
            "calibration": 0.15,
            "accuracy": 0.5,
        }
    )
