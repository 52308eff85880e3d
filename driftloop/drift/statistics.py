"""Statistics of the detectors, from closed blocks. The block is the unit: rows within a block may be dependent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

DetectorKind = Literal["block_residual", "block_loss", "psi"]

CERTAIN = 1e9
"""Size of the statistic if the blocks do not vary. It is finite because JSON has no infinity."""


@dataclass(frozen=True, slots=True)
class Block:
    """The champion's part of one closed window."""

    evidence_id: str
    """Id of its window-closed event."""
    rows: int
    """Number of joined predictions."""
    mean_residual: float
    """Mean of score minus outcome."""
    mean_loss: float
    psi: dict[str, float]
    """Stability index by input, and of the score."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The statistic of a detector over some blocks, which are in order of event time."""

    statistic: float
    explanation: str
    evidence_ids: tuple[str, ...]


def blocks_needed(kind: DetectorKind, trailing: int) -> int:
    """Return how many blocks a statistic over the newest ``trailing`` ones needs. A standard deviation needs two."""
    return {"block_residual": max(trailing, 2), "block_loss": 2 * max(trailing, 2), "psi": trailing}[kind]


def read_statistic(kind: DetectorKind, blocks: Sequence[Block], trailing: int) -> Reading | None:
    """Return the statistic over the newest ``trailing`` blocks, or None if there are fewer than it needs."""
    if len(blocks) < blocks_needed(kind, trailing):
        return None
    if kind == "psi":
        return _psi(blocks, trailing)
    return (_residual if kind == "block_residual" else _loss)(blocks, max(trailing, 2))


def _residual(blocks: Sequence[Block], trailing: int) -> Reading:
    """One-sample t of the blocks' mean residuals against zero, two-sided: ``|mean| / (sd / sqrt(n))``."""
    used = blocks[-trailing:]
    mean, error = _mean_and_error([block.mean_residual for block in used])
    statistic = _ratio(abs(mean), error)
    text = f"mean of score - outcome over {len(used)} blocks is {mean:+.4f}, {statistic:.2f} standard errors from 0"
    return Reading(statistic, text, tuple(block.evidence_id for block in used))


def _loss(blocks: Sequence[Block], trailing: int) -> Reading:
    """Welch's t of the newest blocks' mean losses above those of the release's first blocks (Welch 1947, one-sided)."""
    first, used = blocks[:trailing], blocks[-trailing:]
    before, error_before = _mean_and_error([block.mean_loss for block in first])
    now, error_now = _mean_and_error([block.mean_loss for block in used])
    statistic = _ratio(now - before, math.hypot(error_before, error_now))
    text = (
        f"mean loss over {len(used)} blocks is {now:.4f}, over its first {len(first)} as champion {before:.4f}, "
        f"{statistic:.2f} standard errors apart"
    )
    return Reading(statistic, text, tuple(block.evidence_id for block in (*first, *used)))


def _psi(blocks: Sequence[Block], trailing: int) -> Reading | None:
    """The largest mean stability index of an input over the newest blocks; None if no input is in all of them."""
    used = blocks[-trailing:]
    names = sorted(set.intersection(*(set(block.psi) for block in used)))
    if not names:
        return None
    means = {name: math.fsum(block.psi[name] for block in used) / len(used) for name in names}
    worst = max(names, key=lambda name: means[name])
    statistic = means[worst]
    text = f"stability index of {worst} over {len(used)} blocks is {statistic:.3f}"
    return Reading(statistic, text, tuple(block.evidence_id for block in used))


def _mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and its standard error, from the sample standard deviation (n - 1)."""
    n = len(values)
    mean = math.fsum(values) / n
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    return mean, math.sqrt(variance / n)


def _ratio(value: float, error: float) -> float:
    if error == 0.0:
        return 0.0 if value == 0.0 else math.copysign(CERTAIN, value)
    return value / error
