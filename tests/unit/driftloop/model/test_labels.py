from __future__ import annotations

import math

import numpy as np
import pytest

from driftloop.model.labels import LabelKind, valid_outcomes
from driftloop.model.losses import losses


@pytest.mark.parametrize(
    ("kind", "valid", "invalid"),
    [
        ("binary", [0.0, 1.0], [-1.0, 2.0, 0.5, math.nan, math.inf]),
        ("regression", [-3.5, 0.0, 1e100], [math.nan, math.inf, -math.inf, 1e101]),
        ("count", [0.0, 4.0], [-1.0, 2.5, math.nan, math.inf, 1e101]),
        ("multiclass", [0.0, 2.0], [-1.0, 3.0, 0.5, math.nan, math.inf]),
    ],
)
def test_an_outcome_is_a_value_of_its_label(kind: LabelKind, valid: list[float], invalid: list[float]) -> None:
    values = np.array([*valid, *invalid])
    assert valid_outcomes(kind, values, 3).tolist() == [True] * len(valid) + [False] * len(invalid)


@pytest.mark.parametrize("kind", ["binary", "regression", "count", "multiclass"])
def test_valid_outcomes_give_finite_losses_from_zero(kind: LabelKind) -> None:
    values = np.array([-1e300, -1e100, -1.0, 0.0, 0.5, 1.0, 2.0, 1e100, 1e300, math.inf, math.nan])
    labels = values[valid_outcomes(kind, values, 3)]
    for score in (0.0, 0.5, 1.0):
        scores = np.full((len(labels), 3), 1 / 3) if kind == "multiclass" else np.full(len(labels), score)
        loss = losses(kind, scores, labels)
        assert np.isfinite(loss).all()
        assert (loss >= 0).all()
