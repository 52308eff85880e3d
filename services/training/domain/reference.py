"""What inputs and scores looked like in training: histograms on a grid of their own quantiles.

Monitoring counts what comes later on the same grid. ``edges`` are the inner edges, ascending: with k of them there are
k + 1 bins, the first and the last open-ended. A value belongs to bin ``searchsorted(edges, value, side="right")``, so
a bin holds its lower edge. NaN is counted in ``missing`` alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FORMAT = 1
BINS = 10


@dataclass(frozen=True, slots=True)
class Histogram:
    """``len(counts) == len(edges) + 1``."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    missing: int


def histogram(values: Floats, bins: int = BINS) -> Histogram:
    """At most ``bins`` bins with about equal counts; fewer where values repeat, one where all are missing or equal."""
    present = values[~np.isnan(values)]
    levels = np.arange(1, bins) / bins
    inner = np.quantile(present, levels, method="higher") if len(present) else np.empty(0)
    edges = np.unique(inner)
    edges = edges[edges > present.min()] if len(present) else edges
    counts = np.bincount(np.searchsorted(edges, present, side="right"), minlength=len(edges) + 1)
    return Histogram(tuple(map(float, edges)), tuple(map(int, counts)), int(len(values) - len(present)))


def reference(numeric: Floats, names: Sequence[str], score: Floats) -> bytes:
    """``reference.json`` of ``numeric`` float64 [n, F] and ``score`` float64 [n]."""
    inputs = {name: histogram(numeric[:, place]) for place, name in enumerate(names)}
    return _json({name: asdict(each) for name, each in inputs.items()}, asdict(histogram(score)))


def _json(inputs: Mapping[str, object], score: object) -> bytes:
    data = {"format": FORMAT, "inputs": inputs, "score": score}
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
