"""Confidence interval of a paired mean difference whose rows are dependent within blocks.

Losses within one block (a day, say) are correlated, so rows are not independent. Blocks are treated as exchangeable.
Whole blocks are drawn with replacement. Each draw's statistic is a ratio of sums, because blocks differ in size.

Sources: Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 8.6 (resampling blocks) and chapter 13
(percentile interval); Davison and Hinkley, Bootstrap Methods and their Application (1997), section 3.8 (clusters).
With n blocks the percentile interval is too narrow by about sqrt((n - 1) / n) and by normal instead of t quantiles: of
intervals at level 0.95, about 0.90 cover the truth at 10 blocks and 0.94 at 30. A policy's `min_blocks` must allow
for that.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftloop.model.scores import Floats
from services.evaluation.domain.judgement import Interval

Integers = NDArray[np.int64]

_DRAWS_AT_ONCE = 4_000_000
"""Maximum number of entries of a matrix of draws: 32 MB."""


@dataclass(frozen=True)
class BlockSums:
    """Paired losses by block, one entry per block; each block has at least one row."""

    champion_loss: Floats
    """Sum over the block's rows, float64 [b]."""
    challenger_loss: Floats
    """Sum over the same rows, float64 [b]."""
    rows: Integers
    """Number of rows of the block, int64 [b]."""

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Resampling:
    """Parameters of the bootstrap."""

    level: float
    resamples: int
    seed: int


def sum_by_block(block: Integers, champion_loss: Floats, challenger_loss: Floats, rows: Integers) -> BlockSums:
    """Sum entries of equal ``block`` (int64 [n], any order). Blocks without rows are dropped."""
    _, where = np.unique(block, return_inverse=True)
    count = np.bincount(where, weights=rows).astype(np.int64)
    champion: Floats = np.bincount(where, weights=champion_loss).astype(np.float64)
    challenger: Floats = np.bincount(where, weights=challenger_loss).astype(np.float64)
    kept = count > 0
    return BlockSums(champion[kept], challenger[kept], count[kept])


def bootstrap_interval(blocks: BlockSums, resampling: Resampling, subject: str) -> Interval | None:
    """Return the percentile interval of the mean difference per row, or None with fewer than two blocks.

    ``subject`` is an id (of a verdict or a slice). The same evidence under the same id gives the same interval.
    """
    if len(blocks) < 2:
        return None
    difference = blocks.champion_loss - blocks.challenger_loss
    draws = _resample(difference, blocks.rows, resampling, subject)
    tail = (1.0 - resampling.level) / 2.0
    lower, upper = np.quantile(draws, [tail, 1.0 - tail])
    total = int(blocks.rows.sum())
    return Interval(
        estimate=float(difference.sum() / total),
        lower=float(lower),
        upper=float(upper),
        level=resampling.level,
        blocks=len(blocks),
        rows=total,
        resamples=resampling.resamples,
    )


def _resample(difference: Floats, rows: Integers, resampling: Resampling, subject: str) -> Floats:
    """Return the statistic of each resample, float64 [resamples]. Draw counts per block are multinomial."""
    count = len(rows)
    random = np.random.default_rng([resampling.seed, uuid.uuid5(uuid.NAMESPACE_OID, subject).int])
    chances = np.full(count, 1.0 / count)
    statistics = np.empty(resampling.resamples)
    step = max(1, _DRAWS_AT_ONCE // count)
    for start in range(0, resampling.resamples, step):
        size = min(step, resampling.resamples - start)
        times = random.multinomial(count, chances, size=size)
        statistics[start : start + size] = (times @ difference) / (times @ rows)
    return statistics
