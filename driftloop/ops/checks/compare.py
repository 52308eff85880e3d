"""Compares arrays and describes differences."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from driftloop.ops.checks.model import Check

TOLERANCE = 1e-9


def unequal(
    reported: NDArray[np.float64], expected: NDArray[np.float64], tolerance: float = TOLERANCE
) -> NDArray[np.bool_]:
    """Return where two arrays differ by more than the tolerance, relative above 1; NaN equals only NaN."""
    both_missing = ~np.isfinite(reported) & ~np.isfinite(expected)
    with np.errstate(invalid="ignore"):
        close = np.abs(reported - expected) <= tolerance * np.maximum(1.0, np.abs(expected))
    return ~(both_missing | close)


def compare_columns(
    name: str, reported: Mapping[str, NDArray[np.float64]], expected: Mapping[str, NDArray[np.float64]]
) -> Check:
    """Compare arrays by name; an array that only one side has counts as unequal in all values."""
    compared = differing = 0
    worst: list[str] = []
    for column in sorted(reported.keys() | expected.keys()):
        if column not in reported or column not in expected:
            size = len(reported.get(column, expected.get(column, np.empty(0))))
            compared, differing = compared + size, differing + size
            worst.append(f"{column} on one side only")
            continue
        wrong = unequal(reported[column], expected[column])
        compared, differing = compared + len(wrong), differing + int(wrong.sum())
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            first = f"reported {reported[column][row]!r}, expected {expected[column][row]!r}"
            worst.append(f"{column}: {int(wrong.sum())} differ, first {first}")
    return Check(name, compared, differing, "; ".join(worst[:3]))
