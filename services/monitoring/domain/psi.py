"""Histograms on the bins of a release's training data, and the stability index against them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.monitoring.domain.rows import Floats, Prediction

SHARE_FLOOR = 1e-4
"""Smallest share of a bin in the stability index, because the index is undefined for an empty bin."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Histogram of one input or of the score in training.

    ``edges`` float64 [k] are inner edges, ascending. They make k + 1 bins; the outer ones are open, and each bin
    includes its lower edge. ``counts`` int64 [k + 1]. NaN is counted only in ``missing``.
    """

    edges: Floats
    counts: NDArray[np.int64]
    missing: int


@dataclass(frozen=True, slots=True)
class Categories:
    """Histogram of one categorical input in training: the rows of each value, then those of all other values."""

    values: tuple[str, ...]
    counts: NDArray[np.int64]
    """int64 [k + 1]"""
    missing: int
    """Rows with empty text, which is in no other count."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Histograms of a release's inputs and scores in training."""

    release_id: str
    input_digest: str
    numeric: tuple[str, ...]
    """Names of the numeric inputs, in the order of a logged prediction."""
    categorical: tuple[str, ...]
    inputs: Mapping[str, Grid]
    score: Grid | None
    categories: Mapping[str, Categories] = field(default_factory=dict)
    """By categorical input; empty if an older version wrote the bundle."""

    def describes(self, prediction: Prediction) -> bool:
        """Return whether the prediction's inputs were logged in this order."""
        return (
            prediction.input_digest == self.input_digest
            and len(prediction.numeric) == len(self.numeric)
            and len(prediction.categorical) == len(self.categorical)
        )


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts on the bins of a release, and their population stability index against training.

    The last count of a categorical input is that of the values which are not in its reference.
    """

    release_id: str
    name: str
    counts: tuple[int, ...]
    missing: int
    psi: float


def counts_on(grid: Grid, values: Floats) -> tuple[NDArray[np.int64], int]:
    """Return counts int64 [k + 1] of values float64 [n] on a grid, and the number of missing values."""
    present = values[~np.isnan(values)]
    counts = np.bincount(np.searchsorted(grid.edges, present, side="right"), minlength=len(grid.edges) + 1)
    return counts.astype(np.int64), len(values) - len(present)


def psi(reference: NDArray[np.int64], current: NDArray[np.int64]) -> float:
    """Return the population stability index of two histograms int64 [k]: sum of (q - p) ln(q / p) over shares p and q.

    Siddiqi, Credit Risk Scorecards (2006), chapter 9. Bins that are empty in both are ignored. If one histogram is
    empty, the index is 0.
    """
    if not reference.sum() or not current.sum():
        return 0.0
    occupied = (reference > 0) | (current > 0)
    p = np.maximum(reference[occupied] / reference.sum(), SHARE_FLOOR)
    q = np.maximum(current[occupied] / current.sum(), SHARE_FLOOR)
    return float(np.sum((q - p) * np.log(q / p)))


def histogram(release_id: str, name: str, grid: Grid, values: Floats) -> Histogram:
    """Return the histogram of values float64 [n]. Missing values are one more bin of the index."""
    return _histogram(release_id, name, grid, *counts_on(grid, values))


def categorical_histogram(release_id: str, name: str, categories: Categories, values: Sequence[str]) -> Histogram:
    """Return the histogram of text. Missing and all other values are two more bins of the index."""
    rows = Counter(values)
    missing = rows.pop("", 0)
    counts = [rows.pop(value, 0) for value in categories.values]
    return _histogram(release_id, name, categories, np.array([*counts, rows.total()], dtype=np.int64), missing)


def _histogram(
    release_id: str, name: str, reference: Grid | Categories, counts: NDArray[np.int64], missing: int
) -> Histogram:
    moved = psi(np.append(reference.counts, reference.missing), np.append(counts, missing))
    return Histogram(release_id, name, tuple(int(count) for count in counts), missing, moved)
