"""The offline verdict, before a candidate gets traffic. It removes broken candidates.

The holdout is older than the drift that caused the retrain, so it cannot show that a candidate is better. It only shows
what must not be deployed. A pass is BETTER, a refusal WORSE; both have reasons. Too few rows are NOT_KNOWN_YET: the
candidate ends, but that is no failure of its trainer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from driftloop.events.verdict_outcome import VerdictOutcome
from driftloop.loop.definition import OfflineGate
from driftloop.model.labels import LabelKind, allowed_outcomes, valid_outcomes
from driftloop.model.losses import constant_scores, losses
from driftloop.model.scores import Floats, finite_rows
from services.evaluation.domain.bootstrap import Resampling, bootstrap_interval, sum_by_block
from services.evaluation.domain.judgement import Interval, Judgement

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class HoldoutScores:
    """A candidate's scores on the holdout, and the champion's if it can score these rows."""

    kind: LabelKind
    label: Floats
    """float64 [n]"""
    score: Floats
    """The candidate's scores, float64 [n], or [n, K] with K classes."""
    decision_time_ms: Integers
    """int64 [n]"""
    champion: Floats | None
    """The champion's scores on the same rows, in the same shape."""
    no_champion: str = ""
    """Why the champion has no scores."""


def refuse(reason: str) -> Judgement:
    """Return the refusal of a candidate whose scores cannot be used."""
    return Judgement(VerdictOutcome.WORSE, (reason,))


def judge(scores: HoldoutScores, gate: OfflineGate, block_ms: int, resampling: Resampling, subject: str) -> Judgement:
    """Judge a candidate by all gates; every failed gate adds its reason.

    Gates: minimum rows; outcomes that the label allows; finite scores; loss below the base rate's by
    ``min_gain_over_base_rate``; not worse than the champion by more than ``max_loss_over_champion`` with certainty. The
    base rate is the best constant with hindsight: the mean label of the same rows, or the class shares. Without a
    champion's scores the interval compares with the base rate.
    """
    rows = len(scores.label)
    if rows < max(1, gate.min_rows):
        reason = f"{rows} rows held out; the policy's minimum is {gate.min_rows}"
        return Judgement(VerdictOutcome.NOT_KNOWN_YET, (reason,), limit_reached=True)
    classes = scores.score.shape[1] if scores.kind == "multiclass" else 0
    unknown = int(np.count_nonzero(~valid_outcomes(scores.kind, scores.label, classes)))
    if unknown:
        return refuse(f"{unknown} of {rows} held-out outcomes are not {allowed_outcomes(scores.kind)}")
    broken = int(np.count_nonzero(~finite_rows(scores.score)))
    if broken:
        return refuse(f"{broken} of {rows} scores are not finite")
    if scores.champion is not None and not np.isfinite(scores.champion).all():
        scores = replace(scores, champion=None, no_champion="its scores on these rows are not all finite")
    own = losses(scores.kind, scores.score, scores.label)
    base = losses(scores.kind, constant_scores(scores.kind, scores.label, scores.score), scores.label)
    other = base if scores.champion is None else losses(scores.kind, scores.champion, scores.label)
    gain = _compare(scores, own, other, block_ms, resampling, subject)
    metrics = {"rows": float(rows), "loss": float(own.mean()), "base_loss": float(base.mean())}
    if scores.champion is not None:
        metrics["champion_loss"] = float(other.mean())
    verdicts = [_against_base(metrics, gate), _against_champion(scores, gain, gate)]
    passed = all(ok for ok, _ in verdicts)
    outcome = VerdictOutcome.BETTER if passed else VerdictOutcome.WORSE
    reasons = tuple(reason for ok, reason in verdicts if passed or not ok)
    return Judgement(outcome, reasons, gain, -gate.max_loss_over_champion, metrics=metrics)


def _compare(
    scores: HoldoutScores, own: Floats, other: Floats, block_ms: int, resampling: Resampling, subject: str
) -> Interval | None:
    ones = np.ones(len(own), dtype=np.int64)
    return bootstrap_interval(sum_by_block(scores.decision_time_ms // block_ms, other, own, ones), resampling, subject)


def _against_base(metrics: dict[str, float], gate: OfflineGate) -> tuple[bool, str]:
    gain, least = metrics["base_loss"] - metrics["loss"], gate.min_gain_over_base_rate
    passed = gain > 0 if least == 0 else gain >= least
    return passed, f"gain over the base rate of the held-out rows {gain:+.4f}, minimum {least:g}"


def _against_champion(scores: HoldoutScores, gain: Interval | None, gate: OfflineGate) -> tuple[bool, str]:
    if scores.champion is None:
        return True, f"not compared with a champion: {scores.no_champion}"
    if gain is None:
        return True, "all rows are in one block: the difference to the champion is not known"
    clearly_worse = gain.upper < -gate.max_loss_over_champion
    finding = "clearly worse than the champion" if clearly_worse else "not clearly worse than the champion"
    return not clearly_worse, f"{finding}: gain {gain}, allowed loss {gate.max_loss_over_champion:g}"
