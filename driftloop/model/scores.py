"""What a model says of each row: float64 [n], or of K classes float64 [n, K], the probability of each.

The router's small environment imports this module: it uses numpy alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def as_scores(output: NDArray[np.float64], rows: int, classes: int) -> Floats:
    """A graph's output ``score`` as float64 [n], or [n, K] where the loop has K classes and not 0.

    Raises:
        ValueError: it has another shape.
    """
    if not classes:
        return np.asarray(output, dtype=np.float64).reshape(rows)
    if output.shape != (rows, classes):
        raise ValueError(f"scores have shape {list(output.shape)}; {rows} rows of {classes} classes need another")
    return np.asarray(output, dtype=np.float64)


def confidence(score: Floats) -> Floats:
    """One number a row, float64 [n]: the score itself, or the probability of the likeliest class."""
    return score if score.ndim == 1 else np.asarray(score.max(axis=1))


def finite_rows(score: Floats) -> NDArray[np.bool_]:
    """Whether all that was said of a row is finite, bool [n]."""
    finite = np.isfinite(score)
    return finite if score.ndim == 1 else np.asarray(finite.all(axis=1))
