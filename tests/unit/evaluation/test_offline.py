from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from driftloop.events.verdict_outcome import VerdictOutcome
from driftloop.loop.definition import OfflineGate
from services.evaluation.domain.bootstrap import Resampling
from services.evaluation.domain.judgement import Judgement
from services.evaluation.domain.offline import HoldoutScores, judge

HOW = Resampling(level=0.95, resamples=500, seed=0)
ROWS = 600
DAYS = np.repeat(np.arange(6), 100) * 86_400_000


def world(skill: float, seed: int = 0) -> tuple[Any, Any]:
    """Return labels, and scores that mix the true chance and the mean label by ``skill``."""
    random = np.random.default_rng(seed)
    truth = random.uniform(0.05, 0.95, size=ROWS)
    label = (random.uniform(size=ROWS) < truth).astype(np.float64)
    return label, skill * truth + (1 - skill) * label.mean()


def verdict(score: Any, label: Any, champion: Any = None, **gate: Any) -> Judgement:
    scores = HoldoutScores("binary", label, score, DAYS, champion, "" if champion is not None else "there is none")
    rules = OfflineGate.model_validate({"min_rows": 100, **gate})
    return judge(scores, rules, 86_400_000, HOW, "verdict")


def test_a_useful_candidate_passes_and_is_compared_with_the_base_rate() -> None:
    label, score = world(1.0)
    judgement = verdict(score, label)
    assert judgement.outcome is VerdictOutcome.BETTER
    assert judgement.metrics["loss"] < judgement.metrics["base_loss"]
    assert judgement.interval is not None
    assert judgement.interval.lower > 0
    assert any("there is none" in reason for reason in judgement.reasons)


def test_a_constant_score_has_no_gain_over_the_base_rate() -> None:
    label, score = world(0.0)
    assert verdict(score, label).outcome is VerdictOutcome.WORSE


def test_scores_of_permuted_labels_are_refused() -> None:
    label, score = world(1.0)
    assert verdict(np.random.default_rng(3).permutation(score), label).outcome is VerdictOutcome.WORSE


def test_a_policy_can_require_more_gain() -> None:
    label, score = world(1.0)
    gain = (judgement := verdict(score, label)).metrics["base_loss"] - judgement.metrics["loss"]
    assert verdict(score, label, min_gain_over_base_rate=gain * 0.9).outcome is VerdictOutcome.BETTER
    assert verdict(score, label, min_gain_over_base_rate=gain * 1.1).outcome is VerdictOutcome.WORSE


def test_held_out_outcomes_that_the_label_does_not_allow_are_refused() -> None:
    label, score = world(1.0)
    label[:2] = (2.0, -1.0)
    judgement = verdict(score, label)
    assert judgement.outcome is VerdictOutcome.WORSE
    assert judgement.reasons == ("2 of 600 held-out outcomes are not 0 or 1",)


def test_too_few_rows_say_nothing_about_the_candidate() -> None:
    label, score = world(1.0)
    judgement = verdict(score, label, min_rows=ROWS + 1)
    assert (judgement.outcome, judgement.interval) == (VerdictOutcome.NOT_KNOWN_YET, None)
    assert judgement.limit_reached, "no later verdict follows"
    assert str(ROWS) in judgement.reasons[0]


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_score_that_is_not_finite_is_refused(broken: float) -> None:
    label, score = world(1.0)
    score[5] = broken
    assert "1 of 600 scores are not finite" in verdict(score, label).reasons[0]


def test_a_loss_that_may_be_within_the_allowance_passes() -> None:
    label, score = world(0.9)
    _, champion = world(1.0)
    judgement = verdict(score, label, champion, max_loss_over_champion=0.05)
    assert judgement.outcome is VerdictOutcome.BETTER
    assert "champion_loss" in judgement.metrics


def test_a_candidate_clearly_worse_than_the_champion_is_refused_with_its_gain() -> None:
    label, score = world(0.3)
    _, champion = world(1.0)
    judgement = verdict(score, label, champion, max_loss_over_champion=0.0)
    assert judgement.outcome is VerdictOutcome.WORSE
    assert judgement.interval is not None
    assert judgement.interval.upper < 0
    assert all("clearly worse" in reason for reason in judgement.reasons)


def test_a_champion_with_scores_that_are_not_finite_is_not_compared() -> None:
    label, score = world(1.0)
    champion = score.copy()
    champion[0] = np.nan
    judgement = verdict(score, label, champion)
    assert judgement.outcome is VerdictOutcome.BETTER
    assert "champion_loss" not in judgement.metrics
    assert any("not all finite" in reason for reason in judgement.reasons)


def test_rows_in_one_block_leave_the_difference_unknown() -> None:
    label, score = world(1.0)
    scores = HoldoutScores("binary", label, score, np.zeros(ROWS, dtype=np.int64), score)
    judgement = judge(scores, OfflineGate(min_rows=100), 86_400_000, HOW, "verdict")
    assert (judgement.outcome, judgement.interval) == (VerdictOutcome.BETTER, None)


def world_of_classes(skill: float) -> tuple[Any, Any]:
    """Return labels of three classes, and scores that mix the true chances and uniform ones by ``skill``."""
    random = np.random.default_rng(0)
    truth = random.dirichlet([0.5, 0.5, 0.5], size=ROWS)
    label = (random.uniform(size=(ROWS, 1)) > truth.cumsum(axis=1)).sum(axis=1).clip(0, 2).astype(np.float64)
    return label, skill * truth + (1 - skill) / 3


def verdict_of_classes(score: Any, label: Any, champion: Any = None) -> Judgement:
    scores = HoldoutScores("multiclass", label, score, DAYS, champion, "" if champion is not None else "there is none")
    return judge(scores, OfflineGate(min_rows=100, max_loss_over_champion=0.0), 86_400_000, HOW, "verdict")


def test_with_classes_the_base_rate_is_the_class_share() -> None:
    label, score = world_of_classes(1.0)
    judgement = verdict_of_classes(score, label)
    shares = np.bincount(label.astype(int)) / ROWS
    assert judgement.metrics["base_loss"] == pytest.approx(-(shares * np.log(shares)).sum())
    assert judgement.outcome is VerdictOutcome.BETTER
    assert verdict_of_classes(np.tile(shares, (ROWS, 1)), label).outcome is VerdictOutcome.WORSE


def test_with_classes_the_champion_is_compared_on_the_same_rows() -> None:
    label, better = world_of_classes(1.0)
    _, worse = world_of_classes(0.5)
    assert verdict_of_classes(better, label, worse).outcome is VerdictOutcome.BETTER
    assert verdict_of_classes(worse, label, better).outcome is VerdictOutcome.WORSE


def test_a_row_with_a_non_finite_class_counts_once() -> None:
    label, score = world_of_classes(1.0)
    score[5] = [np.nan, np.inf, 0.5]
    assert "1 of 600 scores are not finite" in verdict_of_classes(score, label).reasons[0]


def test_an_unknown_class_label_is_refused() -> None:
    label, score = world_of_classes(1.0)
    label[0] = 7.0
    assert verdict_of_classes(score, label).outcome is VerdictOutcome.WORSE
