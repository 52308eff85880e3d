"""Histograms of inputs and scores in training, with quantiles as bin edges.

Monitoring counts later values in the same bins. ``edges`` are the inner edges, ascending: k edges make k + 1 bins, and
the first and last bin are unbounded. A value belongs to bin ``searchsorted(edges, value, side="right")``, so a bin
includes its lower edge. NaN and infinity count only in ``missing``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from driftloop.model.scores import Floats

FORMAT = 1
BINS = 10


@dataclass(frozen=True, slots=True)
class Histogram:
    """A histogram with ``len(counts) == len(edges) + 1``."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    missing: int


def histogram(values: Floats, bins: int = BINS) -> Histogram:
    """Return at most ``bins`` bins with about equal counts.

    Repeated values give fewer bins. If all values are equal or missing, there is one bin.
    """
    present = values[np.isfinite(values)]
    levels = np.arange(1, bins) / bins
    inner = np.quantile(present, levels, method="higher") if len(present) else np.empty(0)
    edges = np.unique(inner)
    edges = edges[edges > present.min()] if len(present) else edges
    counts = np.bincount(np.searchsorted(edges, present, side="right"), minlength=len(edges) + 1)
    return Histogram(tuple(map(float, edges)), tuple(map(int, counts)), int(len(values) - len(present)))


def reference(numeric: Floats, names: Sequence[str], score: Floats) -> bytes:
    """Return ``reference.json`` of ``numeric`` float64 [n, F] and ``score`` float64 [n]."""
    inputs = {name: asdict(histogram(column)) for name, column in zip(names, numeric.T, strict=True)}
    data = {"format": FORMAT, "inputs": inputs, "score": asdict(histogram(score))}
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
