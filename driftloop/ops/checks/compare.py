"""Equality of arrays, and how to say where it fails."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from driftloop.ops.checks.model import Check

TOLERANCE = 1e-9


def unequal(said: NDArray[np.float64], found: NDArray[np.float64], tolerance: float = TOLERANCE) -> NDArray[np.bool_]:
    """Where two arrays differ: by more than the tolerance, relative above 1; missing equals missing only."""
    both_missing = np.isnan(said) & np.isnan(found)
    with np.errstate(invalid="ignore"):
        close = np.abs(said - found) <= tolerance * np.maximum(1.0, np.abs(found))
    return ~(both_missing | close)


def matrices(name: str, said: Mapping[str, NDArray[np.float64]], found: Mapping[str, NDArray[np.float64]]) -> Check:
    """Compare arrays by name, value by value; names that one side lacks count as wholly unequal."""
    compared = differing = 0
    worst: list[str] = []
    for column in sorted(said.keys() | found.keys()):
        if column not in said or column not in found:
            size = len(said.get(column, found.get(column, np.empty(0))))
            compared, differing = compared + size, differing + size
            worst.append(f"{column} on one side only")
            continue
        wrong = unequal(said[column], found[column])
        compared, differing = compared + len(wrong), differing + int(wrong.sum())
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            worst.append(
                f"{column}: {int(wrong.sum())} differ, first said {said[column][at]!r}, found {found[column][at]!r}"
            )
    return Check(name, compared, differing, "; ".join(worst[:3]))
