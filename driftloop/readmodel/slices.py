"""Quality of a champion on parts of its predictions, from closed windows. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from driftloop.contracts import monitoring_pb2 as monitoring

ALL = "all"
"""Name of the rows of all slices."""


@dataclass(frozen=True, slots=True)
class SliceQuality:
    """Means over the outcomes of one slice; None if there are too few of them."""

    slice: str
    """``name=value``, or `ALL`."""
    rows: int
    min_rows: int
    loss: float | None = None
    score: float | None = None
    """Mean score; for several classes the mean confidence."""
    outcome: float | None = None
    """Mean outcome: with a binary label the positive rate; for several classes the accuracy."""

    @property
    def calibration(self) -> float | None:
        """Return mean score minus mean outcome; 0 is calibrated."""
        return None if self.score is None or self.outcome is None else self.score - self.outcome

    def to_json(self) -> dict[str, Any]:
        return {
            "slice": self.slice,
            "rows": self.rows,
            "min_rows": self.min_rows,
            "loss": self.loss,
            "score": self.score,
            "outcome": self.outcome,
            "calibration": self.calibration,
        }


def slice_quality(
    windows: Iterable[monitoring.WindowClosed], release: str, min_rows: Mapping[str, int]
) -> list[SliceQuality]:
    """Return all outcomes of a champion, then each slice by name; empty if no window has slices of it.

    ``min_rows``: by name of the slice; 1 for others. The sums are those of the closes: corrections do not change them.
    """
    rows: dict[str, int] = defaultdict(int)
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for part in (part for window in windows for part in window.slices if part.release_id == release):
        rows[part.slice] += part.count
        for at, value in enumerate((part.loss_sum, part.score_sum, part.outcome_sum)):
            sums[part.slice][at] += value
    return [_quality(name, rows[name], sums[name], min_rows.get(name.partition("=")[0], 1)) for name in sorted(rows)]


def _quality(name: str, rows: int, sums: list[float], min_rows: int) -> SliceQuality:
    if rows < min_rows:
        return SliceQuality(name or ALL, rows, min_rows)
    return SliceQuality(name or ALL, rows, min_rows, *(value / rows for value in sums))
