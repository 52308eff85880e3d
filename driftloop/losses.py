"""Loss of each row, by kind of label: the one definition that training, evaluation and monitoring share."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LabelKind = Literal["binary", "regression", "count"]

PROBABILITY_FLOOR = 1e-7
"""Probabilities are clipped to [floor, 1 - floor]: a row's log loss is at most 16.1."""
MEAN_FLOOR = 1e-9
"""Least expected count in the Poisson deviance."""


def losses(kind: LabelKind, score: Floats, label: Floats) -> Floats:
    """Loss of each row, float64 [n]: log loss in nats, squared error, or unit Poisson deviance.

    Poisson deviance: McCullagh and Nelder, Generalized Linear Models (1989), table 2.1.
    """
    if kind == "binary":
        p = np.clip(score, PROBABILITY_FLOOR, 1.0 - PROBABILITY_FLOOR)
        return np.asarray(-(label * np.log(p) + (1.0 - label) * np.log1p(-p)))
    if kind == "regression":
        return np.asarray((score - label) ** 2)
    mean = np.maximum(score, MEAN_FLOOR)
    logs = np.log(np.where(label > 0, label, 1.0) / mean)
    return np.asarray(2.0 * (np.where(label > 0, label * logs, 0.0) - (label - mean)))
