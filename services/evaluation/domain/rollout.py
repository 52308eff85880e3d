"""Verdicts in shadow and canary: the challenger against the champion on the same served rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from driftloop.events.verdict_outcome import VerdictOutcome
from driftloop.loop.definition import Step
from driftloop.model.scores import Floats
from services.evaluation.domain.bootstrap import BlockSums, Resampling, bootstrap_interval, sum_by_block
from services.evaluation.domain.judgement import Interval, Judgement

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class PairedLosses:
    """Paired sums of one champion and one challenger, one entry per block of a closed window."""

    block_start_ms: Integers
    """int64 [n]"""
    rows: Integers
    """int64 [n]"""
    champion_loss: Floats
    """float64 [n]"""
    challenger_loss: Floats
    """float64 [n]"""

    def since(self, start_ms: int) -> PairedLosses:
        """Return the entries of blocks that began at ``start_ms`` or later."""
        kept = self.block_start_ms >= start_ms
        return PairedLosses(
            self.block_start_ms[kept], self.rows[kept], self.champion_loss[kept], self.challenger_loss[kept]
        )

    def blocks(self) -> BlockSums:
        """Return the sums by block, without blocks that have no paired row."""
        return sum_by_block(self.block_start_ms, self.champion_loss, self.challenger_loss, self.rows)


@dataclass(frozen=True)
class Evidence:
    """The evidence for a verdict in a stage."""

    all_rows: PairedLosses
    """Sums over all rows since the release first scored."""
    slices: Mapping[str, PairedLosses] = field(default_factory=dict)
    """The same sums by ``field=value``."""
    stage_start_ms: int = 0
    """Event time at which the stage was entered."""


def judge(evidence: Evidence, step: Step, resampling: Resampling, subject: str) -> Judgement:
    """Return BETTER if the interval's lower end is above the step's margin, WORSE if its upper end is below it.

    Fewer stage blocks than ``min_blocks`` gives NOT_KNOWN_YET, whatever the interval. If a verdict is still
    NOT_KNOWN_YET at ``max_blocks`` stage blocks, ``limit_reached`` is set. Slices are reported and decide nothing.
    """
    stage_blocks = len(evidence.all_rows.since(evidence.stage_start_ms).blocks())
    start_ms = evidence.stage_start_ms if step.evidence == "stage" else None
    gain = bootstrap_interval(_blocks_since(evidence.all_rows, start_ms), resampling, subject)
    slices = {}
    for name, losses in sorted(evidence.slices.items()):
        slice_gain = bootstrap_interval(_blocks_since(losses, start_ms), resampling, f"{subject}/{name}")
        if slice_gain is not None:
            slices[name] = slice_gain
    outcome, reason = _decide(gain, stage_blocks, step)
    limit = outcome is VerdictOutcome.NOT_KNOWN_YET and stage_blocks >= step.max_blocks
    reasons = [reason]
    if limit:
        reasons.append(f"the stage's limit of {step.max_blocks} blocks is reached")
    worst = min(step.margin, 0.0)
    reasons += [f"slice {name} loses: {value}" for name, value in slices.items() if value.upper < worst]
    return Judgement(outcome, tuple(reasons), gain, step.margin, limit, {"stage_blocks": stage_blocks}, slices)


def _blocks_since(losses: PairedLosses, start_ms: int | None) -> BlockSums:
    return (losses if start_ms is None else losses.since(start_ms)).blocks()


def _decide(gain: Interval | None, stage_blocks: int, step: Step) -> tuple[VerdictOutcome, str]:
    if stage_blocks < step.min_blocks:
        reason = f"{stage_blocks} blocks with paired rows; the policy's minimum is {step.min_blocks}"
        return VerdictOutcome.NOT_KNOWN_YET, reason
    if gain is None:
        return VerdictOutcome.NOT_KNOWN_YET, "fewer than two blocks with paired rows"
    text = f"gain {gain} over {gain.blocks} blocks, {gain.rows} rows"
    if gain.lower > step.margin:
        return VerdictOutcome.BETTER, f"{text}: above the margin {step.margin:g}"
    if gain.upper < step.margin:
        return VerdictOutcome.WORSE, f"{text}: below the margin {step.margin:g}"
    return VerdictOutcome.NOT_KNOWN_YET, f"{text}: the margin {step.margin:g} is inside"
