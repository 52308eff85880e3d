"""Histograms on the grid that a release brought from its training, and how far they moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.monitoring.domain.rows import Floats, Prediction

SHARE_FLOOR = 1e-4
"""Share of an empty bin in the stability index, which has no value at zero."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Histogram of one input or of the score in training.

    ``edges`` float64 [k] are inner edges, ascending: k + 1 bins, the outer ones open, each holding its lower edge.
    ``counts`` int64 [k + 1]; NaN is counted in ``missing`` alone.
    """

    edges: Floats
    counts: NDArray[np.int64]
    missing: int


@dataclass(frozen=True, slots=True)
class Reference:
    """What a release's inputs and scores were in training."""

    release_id: str
    input_digest: str
    numeric: tuple[str, ...]
    """Names of the numeric inputs, in the order of a logged prediction."""
    categorical: tuple[str, ...]
    inputs: Mapping[str, Grid]
    score: Grid | None

    def describes(self, prediction: Prediction) -> bool:
        """Whether the prediction's inputs were logged in this order."""
        return (
            prediction.input_digest == self.input_digest
            and len(prediction.numeric) == len(self.numeric)
            and len(prediction.categorical) == len(self.categorical)
        )


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts on a release's grid, and their population stability index against it."""

    release_id: str
    name: str
    counts: tuple[int, ...]
    missing: int
    psi: float


def counts_on(grid: Grid, values: Floats) -> tuple[NDArray[np.int64], int]:
    """Counts int64 [k + 1] of values float64 [n] on a grid, and how many are missing."""
    present = values[~np.isnan(values)]
    counts = np.bincount(np.searchsorted(grid.edges, present, side="right"), minlength=len(grid.edges) + 1)
    return counts.astype(np.int64), len(values) - len(present)


def psi(reference: NDArray[np.int64], current: NDArray[np.int64]) -> float:
    """Population stability index of two histograms int64 [k]: sum of (q - p) ln(q / p) over their shares p and q.

    Siddiqi, Credit Risk Scorecards (2006), chapter 9. Bins that both leave empty count nothing; where one histogram
    holds nothing at all it is 0.
    """
    if not reference.sum() or not current.sum():
        return 0.0
    held = (reference > 0) | (current > 0)
    p = np.maximum(reference[held] / reference.sum(), SHARE_FLOOR)
    q = np.maximum(current[held] / current.sum(), SHARE_FLOOR)
    return float(np.sum((q - p) * np.log(q / p)))


def histogram(release_id: str, name: str, grid: Grid, values: Floats) -> Histogram:
    """Histogram of values float64 [n]; missing values are a bin of their own in the index."""
    counts, missing = counts_on(grid, values)
    moved = psi(np.append(grid.counts, grid.missing), np.append(counts, missing))
    return Histogram(release_id, name, tuple(int(each) for each in counts), missing, moved)
