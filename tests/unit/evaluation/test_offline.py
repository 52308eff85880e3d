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
    """Labels, and scores that know the truth by ``skill``."""
    random = np.random.default_rng(seed)
    truth = random.uniform(0.05, 0.95, size=ROWS)
    label = (random.uniform(size=ROWS) < truth).astype(np.float64)
    return label, skill * truth + (1 - skill) * label.mean()


def verdict(score: Any, label: Any, champion: Any = None, **gate: Any) -> Judgement:
    trial = HoldoutScores("binary", label, score, DAYS, champion, "" if champion is not None else "there is none")
    rules = OfflineGate.model_validate({"min_rows": 100, **gate})
    return judge(trial, rules, 86_400_000, HOW, "verdict")


def test_a_candidate_that_knows_something_passes_and_is_compared_with_the_base_rate() -> None:
    label, score = world(1.0)
    found = verdict(score, label)
    assert found.outcome is VerdictOutcome.BETTER
    assert found.metrics["loss"] < found.metrics["base_loss"]
    assert found.interval is not None
    assert found.interval.lower > 0
    assert any("there is none" in reason for reason in found.reasons)


def test_a_constant_is_no_gain_over_the_base_rate() -> None:
    label, score = world(0.0)
    assert verdict(score, label).outcome is VerdictOutcome.WORSE


def test_scores_of_permuted_labels_are_refused() -> None:
    label, score = world(1.0)
    assert verdict(np.random.default_rng(3).permutation(score), label).outcome is VerdictOutcome.WORSE


def test_the_policy_may_ask_for_more_gain() -> None:
    label, score = world(1.0)
    gain = (found := verdict(score, label)).metrics["base_loss"] - found.metrics["loss"]
    assert verdict(score, label, min_gain_over_base_rate=gain * 0.9).outcome is VerdictOutcome.BETTER
    assert verdict(score, label, min_gain_over_base_rate=gain * 1.1).outcome is VerdictOutcome.WORSE


def test_too_few_rows_are_refused() -> None:
    label, score = world(1.0)
    found = verdict(score, label, min_rows=ROWS + 1)
    assert (found.outcome, found.interval) == (VerdictOutcome.WORSE, None)
    assert str(ROWS) in found.reasons[0]


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_score_that_is_not_finite_is_refused(broken: float) -> None:
    label, score = world(1.0)
    score[5] = broken
    assert "1 of 600 scores are not finite" in verdict(score, label).reasons[0]


def test_worse_than_the_champion_but_not_clearly_beyond_the_allowance_passes() -> None:
    label, score = world(0.9)
    _, champion = world(1.0)
    found = verdict(score, label, champion, max_loss_over_champion=0.05)
    assert found.outcome is VerdictOutcome.BETTER
    assert "champion_loss" in found.metrics


def test_clearly_worse_than_the_champion_is_refused_and_says_by_how_much() -> None:
    label, score = world(0.3)
    _, champion = world(1.0)
    found = verdict(score, label, champion, max_loss_over_champion=0.0)
    assert found.outcome is VerdictOutcome.WORSE
    assert found.interval is not None
    assert found.interval.upper < 0
    assert all("clearly worse" in reason for reason in found.reasons)


def test_a_champion_that_cannot_score_the_rows_is_left_out_of_it() -> None:
    label, score = world(1.0)
    champion = score.copy()
    champion[0] = np.nan
    found = verdict(score, label, champion)
    assert found.outcome is VerdictOutcome.BETTER
    assert "champion_loss" not in found.metrics
    assert any("not all finite" in reason for reason in found.reasons)


def test_rows_in_one_block_leave_the_difference_unknown() -> None:
    label, score = world(1.0)
    trial = HoldoutScores("binary", label, score, np.zeros(ROWS, dtype=np.int64), score)
    found = judge(trial, OfflineGate(min_rows=100), 86_400_000, HOW, "verdict")
    assert (found.outcome, found.interval) == (VerdictOutcome.BETTER, None)


def world_of_classes(skill: float) -> tuple[Any, Any]:
    """Labels of three classes, and scores that know the truth by ``skill``."""
    random = np.random.default_rng(0)
    truth = random.dirichlet([0.5, 0.5, 0.5], size=ROWS)
    label = (random.uniform(size=(ROWS, 1)) > truth.cumsum(axis=1)).sum(axis=1).clip(0, 2).astype(np.float64)
    return label, skill * truth + (1 - skill) / 3


def verdict_of_classes(score: Any, label: Any, champion: Any = None) -> Judgement:
    trial = HoldoutScores("multiclass", label, score, DAYS, champion, "" if champion is not None else "there is none")
    return judge(trial, OfflineGate(min_rows=100, max_loss_over_champion=0.0), 86_400_000, HOW, "verdict")


def test_of_classes_the_base_rate_is_the_share_of_each() -> None:
    label, score = world_of_classes(1.0)
    found = verdict_of_classes(score, label)
    shares = np.bincount(label.astype(int)) / ROWS
    assert found.metrics["base_loss"] == pytest.approx(-(shares * np.log(shares)).sum())
    assert found.outcome is VerdictOutcome.BETTER
    assert verdict_of_classes(np.tile(shares, (ROWS, 1)), label).outcome is VerdictOutcome.WORSE


def test_of_classes_the_champion_is_compared_on_the_same_rows() -> None:
    label, better = world_of_classes(1.0)
    _, worse = world_of_classes(0.5)
    assert verdict_of_classes(better, label, worse).outcome is VerdictOutcome.BETTER
    assert verdict_of_classes(worse, label, better).outcome is VerdictOutcome.WORSE


def test_a_row_with_one_class_that_is_not_finite_is_refused_once() -> None:
    label, score = world_of_classes(1.0)
    score[5] = [np.nan, np.inf, 0.5]
    assert "1 of 600 scores are not finite" in verdict_of_classes(score, label).reasons[0]


def test_a_label_that_is_no_class_gives_no_gain() -> None:
    label, score = world_of_classes(1.0)
    label[0] = 7.0
    assert verdict_of_classes(score, label).outcome is VerdictOutcome.WORSE
