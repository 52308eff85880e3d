"""Scores of a model: float64 [n], or float64 [n, K] with the probability of each of K classes.

The router's small environment imports this module, so it uses only numpy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def as_scores(output: NDArray[np.float64], rows: int, classes: int) -> Floats:
    """Return a graph's output ``score`` as float64 [n], or [n, K] if the loop has K > 0 classes.

    Raises:
        ValueError: the output has another shape.
    """
    if not classes:
        return np.asarray(output, dtype=np.float64).reshape(rows)
    if output.shape != (rows, classes):
        raise ValueError(f"scores have shape {list(output.shape)}; expected [{rows}, {classes}]")
    return np.asarray(output, dtype=np.float64)


def confidence(score: Floats) -> Floats:
    """Return one number per row, float64 [n]: the score itself, or the probability of the likeliest class."""
    return score if score.ndim == 1 else np.asarray(score.max(axis=1))


def finite_rows(score: Floats) -> NDArray[np.bool_]:
    """Return the rows whose scores are all finite, bool [n]."""
    finite = np.isfinite(score)
    return finite if score.ndim == 1 else np.asarray(finite.all(axis=1))
