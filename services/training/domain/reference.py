"""Histograms of inputs and scores in training. Monitoring counts later values in the same bins.

A numeric histogram has inner ``edges``, ascending: k edges make k + 1 bins, and the first and last bin are unbounded. A
value belongs to bin ``searchsorted(edges, value, side="right")``, so a bin includes its lower edge. NaN and infinity
count only in ``missing``. Edges are quantiles, with two exceptions, because quantiles of repeated values merge into few
bins, which would hide a change:

- A column of few distinct values has bins for what is below and above them. Unless quantiles merge some of them, each
  value has a bin of its own, and so has what is between them.
- If one quantile bin would hold more than half of the rows, frequent values have bins of their own.

A categorical histogram counts the most frequent values, and the rest as ``other``. Empty text is ``missing``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from driftloop.model.scores import Floats

FORMAT = 1
BINS = 10
VALUES = 20
"""Number of values of a categorical input that are counted separately."""
_LEAST_ROWS = 5
"""Rows of a value that make it frequent. With fewer, a continuous column of few rows would look discrete."""
_GREATEST = np.finfo(np.float64).max
_TOLERANCE = 1e-9
"""Half the width of a value's own bin, relative to the largest value: results of float sums differ in the last bits."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """A histogram with ``len(counts) == len(edges) + 1``."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    missing: int


@dataclass(frozen=True, slots=True)
class CategoricalHistogram:
    """A histogram with ``len(counts) == len(values)``."""

    values: tuple[str, ...]
    counts: tuple[int, ...]
    other: int
    missing: int


def histogram(values: Floats, bins: int = BINS) -> Histogram:
    """Return the histogram of float64 [n]: about ``bins`` bins with rows, and empty ones around repeated values."""
    present = values[np.isfinite(values)]
    edges = _edges(present, bins) if len(present) else np.empty(0)
    counts = np.bincount(np.searchsorted(edges, present, side="right"), minlength=len(edges) + 1)
    return Histogram(tuple(map(float, edges)), tuple(map(int, counts)), int(len(values) - len(present)))


def _edges(present: Floats, bins: int) -> Floats:
    distinct, rows = np.unique(present, return_counts=True)
    quantiles, own = _quantiles(present, bins), _own_bins(distinct)
    frequent = rows >= _LEAST_ROWS
    few = len(distinct) <= bins and bool(frequent.any())
    if _largest(quantiles, present) > 0.5:
        frequent &= few | (rows * bins > len(present))
    elif not (few and frequent.all() and len(quantiles) + 1 == len(distinct)):
        return np.unique([own[0, 0], *quantiles, own[-1, 1]]) if few else quantiles
    if not frequent.any():
        return quantiles
    rest = present[~np.isin(present, distinct[frequent])]
    between = _quantiles(rest, max(1, round(bins * len(rest) / len(present)))) if len(rest) else rest
    return np.unique(np.concatenate([own[frequent].ravel(), between]))


def _largest(edges: Floats, present: Floats) -> float:
    """Return the largest share of rows in one bin."""
    return float(np.bincount(np.searchsorted(edges, present, side="right")).max() / len(present))


def _quantiles(values: Floats, bins: int) -> Floats:
    """Return the distinct inner edges of at most ``bins`` bins with about equal counts."""
    edges: Floats = np.unique(np.quantile(values, np.arange(1, bins) / bins, method="higher"))
    inner: Floats = edges[edges > values.min()]
    return inner


def _own_bins(distinct: Floats) -> Floats:
    """Return lower and upper edge of a bin that contains one value each, float64 [k, 2]. They do not overlap."""
    gaps = np.concatenate([[np.inf], np.diff(distinct), [np.inf]])
    width = np.minimum(np.minimum(gaps[:-1], gaps[1:]) / 4, _TOLERANCE * (np.abs(distinct).max() or 1.0))
    upper = np.maximum(distinct + width, np.nextafter(distinct, np.inf))
    edges: Floats = np.clip(np.stack([distinct - width, upper], axis=1), -_GREATEST, _GREATEST)
    return edges


def categorical_histogram(values: NDArray[np.object_]) -> CategoricalHistogram:
    """Return the histogram of text [n]."""
    rows = Counter(values.tolist())
    missing = rows.pop("", 0)
    common = sorted(sorted(rows, key=lambda value: (-rows[value], value))[:VALUES])
    counts = tuple(rows[value] for value in common)
    return CategoricalHistogram(tuple(common), counts, rows.total() - sum(counts), missing)


def reference(
    numeric: Floats,
    names: Sequence[str],
    score: Floats,
    categorical: NDArray[np.object_] | None = None,
    categorical_names: Sequence[str] = (),
) -> bytes:
    """Return ``reference.json`` of numeric float64 [n, F], score float64 [n] and categorical text [n, C]."""
    inputs = {name: asdict(histogram(column)) for name, column in zip(names, numeric.T, strict=True)}
    data = {"format": FORMAT, "inputs": inputs, "score": asdict(histogram(score))}
    if categorical is not None and categorical_names:
        columns = zip(categorical_names, categorical.T, strict=True)
        data["categorical"] = {name: asdict(categorical_histogram(column)) for name, column in columns}
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
