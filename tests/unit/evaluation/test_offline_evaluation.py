from __future__ import annotations

import numpy as np
import pytest

from driftloop.events.verdict_outcome import VerdictOutcome
from driftloop.model.scores import Floats
from services.evaluation.domain.judgement import Judgement
from services.evaluation.offline_evaluation import Judge
from services.evaluation.ports import Candidate
from tests.helpers.clock import FakeClock
from tests.unit.evaluation.definitions import loop_definition
from tests.unit.evaluation.fakes import FakeBundles, FakeHoldout, FakeHoldouts, FakeScorer


def candidate(name: str) -> Candidate:
    return Candidate(f"r-{name}", "orders", name, f"/bundles/{name}", "digest")


def judged(
    new: FakeScorer | None = None, old: FakeScorer | None = None, holdout: FakeHoldout | None = None
) -> Judgement:
    scorers = {"/bundles/new": new} if new else {}
    if old:
        scorers["/bundles/old"] = old
    holdouts = FakeHoldouts({"/holdout": holdout} if holdout else {})
    champion = candidate("old") if old else None
    judge = Judge(FakeBundles(scorers), holdouts, FakeClock(tick_s=0.001))
    return judge.judge(loop_definition(), candidate("new"), "/holdout", champion, "verdict")


def test_a_good_candidate_passes_and_its_latency_is_measured() -> None:
    judgement = judged(FakeScorer(), holdout=FakeHoldout())
    assert judgement.outcome is VerdictOutcome.BETTER
    assert judgement.metrics["row_latency_ms_p50"] == pytest.approx(1.0)
    assert judgement.metrics["golden_difference"] == 0.0


@pytest.mark.parametrize(
    ("scorer", "holdout", "reason"),
    [
        (None, FakeHoldout(), "manifest.json is missing"),
        (FakeScorer(), None, "no holdout can be read"),
        (FakeScorer(golden=1e-3), FakeHoldout(), "golden sample is not reproduced"),
        (FakeScorer(golden=float("inf")), FakeHoldout(), "golden sample is not reproduced"),
        (FakeScorer(numeric=("truth", "weight", "size")), FakeHoldout(), "lacks the model's inputs weight, size"),
        (FakeScorer(weight=0.9), FakeHoldout(), "differ from those of the training run"),
        (FakeScorer(refuses=True), FakeHoldout(), "refuses its inputs"),
    ],
)
def test_wrong_files_are_refused_with_a_reason(
    scorer: FakeScorer | None, holdout: FakeHoldout | None, reason: str
) -> None:
    judgement = judged(scorer, holdout=holdout)
    assert judgement.outcome is VerdictOutcome.WORSE
    assert reason in judgement.reasons[0]


def test_a_holdout_without_rows_says_nothing() -> None:
    judgement = judged(FakeScorer(), holdout=FakeHoldout(rows=0))
    assert judgement.outcome is VerdictOutcome.NOT_KNOWN_YET
    assert "0 rows held out" in judgement.reasons[0]


def test_the_champion_scores_the_same_rows() -> None:
    judgement = judged(FakeScorer(weight=0.4), FakeScorer(weight=1.0), FakeHoldout(recorded_weight=0.4))
    assert judgement.metrics["champion_loss"] < judgement.metrics["loss"]


@pytest.mark.parametrize(
    ("old", "reason"),
    [
        (FakeScorer(numeric=("truth", "gone")), "needs inputs that the holdout lacks: gone"),
        (FakeScorer(refuses=True), "cannot be read"),
    ],
)
def test_a_champion_that_cannot_score_the_rows_is_skipped_with_a_reason(old: FakeScorer, reason: str) -> None:
    judgement = judged(FakeScorer(), old, FakeHoldout())
    assert judgement.outcome is VerdictOutcome.BETTER
    assert "champion_loss" not in judgement.metrics
    assert any(reason in text for text in judgement.reasons)


def test_a_champion_with_other_classes_is_not_compared() -> None:
    judgement = judged(FakeScorer(), FakeScorer(classes=("a", "b")), FakeHoldout())
    assert "champion_loss" not in judgement.metrics
    assert any("r-old scores other classes: a, b" in reason for reason in judgement.reasons)


def test_a_holdout_with_scores_of_a_different_shape_is_refused() -> None:
    class OfClasses(FakeHoldout):
        @property
        def score(self) -> Floats:
            return np.full((self.rows, 2), 0.5)

    [reason] = judged(FakeScorer(), holdout=OfClasses()).reasons
    assert "different shapes: [400, 2] and [400]" in reason
