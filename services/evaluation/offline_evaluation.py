"""Evaluates a candidate on its holdout: reads, scores and measures. The gates are in `domain.offline`."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from driftloop.loop.definition import LoopDefinition, to_ms
from driftloop.model.scores import Floats
from driftloop.process.clock import Clock
from driftloop.process.errors import BundleError
from services.evaluation.domain import offline
from services.evaluation.domain.bootstrap import Resampling
from services.evaluation.domain.judgement import Judgement
from services.evaluation.ports import Bundles, Candidate, Holdout, Holdouts, Scorer

GOLDEN_TOLERANCE = 1e-6
"""Maximum difference between the golden sample's scores and the model's, relative to max(1, |score|)."""
RECORDED_TOLERANCE = 1e-5
"""The same for the scores that the training run stored beside the holdout."""
_TIMED_CALLS = 21


@dataclass(frozen=True)
class Judge:
    """Judges candidates before they get traffic."""

    bundles: Bundles
    holdouts: Holdouts
    clock: Clock

    def judge(
        self, loop: LoopDefinition, candidate: Candidate, holdout_uri: str, champion: Candidate | None, subject: str
    ) -> Judgement:
        """Return the offline judgement. Any fault of the candidate's files is a refusal with its reason."""
        try:
            scorer = self.bundles.open(candidate.bundle_uri, candidate.bundle_digest)
            golden = scorer.golden_difference()
            if golden > GOLDEN_TOLERANCE:
                return offline.refuse(f"the golden sample is not reproduced: scores differ by up to {golden:.2g}")
            holdout = self.holdouts.read(holdout_uri)
            absent = holdout.missing([*scorer.numeric, *scorer.categorical])
            if absent:
                return offline.refuse(f"the holdout lacks the model's inputs {', '.join(absent)}")
            score = _scores(scorer, holdout)
        except BundleError as problem:
            return offline.refuse(str(problem))
        if holdout.score.shape != score.shape:
            shapes = f"{list(holdout.score.shape)} and {list(score.shape)}"
            return offline.refuse(f"scores of the training run and of the model have different shapes: {shapes}")
        difference = _difference(score, holdout.score)
        if difference > RECORDED_TOLERANCE:
            return offline.refuse(f"scores differ from those of the training run by up to {difference:.2g}")
        other, why = self._champion_scores(champion, holdout, scorer.classes)
        scores = offline.HoldoutScores(scorer.kind, holdout.label, score, holdout.decision_time_ms, other, why)
        judgement = offline.judge(scores, loop.offline, to_ms(loop.monitoring.block), resampling_of(loop), subject)
        measured = {"golden_difference": golden, "row_latency_ms_p50": self._latency_ms(scorer, holdout)}
        return replace(judgement, metrics={**judgement.metrics, **measured})

    def _champion_scores(
        self, champion: Candidate | None, holdout: Holdout, classes: Sequence[str]
    ) -> tuple[Floats | None, str]:
        if champion is None:
            return None, "there is no champion"
        try:
            scorer = self.bundles.open(champion.bundle_uri, champion.bundle_digest)
            if tuple(scorer.classes) != tuple(classes):
                return None, f"{champion.release_id} scores other classes: {', '.join(scorer.classes) or 'none'}"
            absent = holdout.missing([*scorer.numeric, *scorer.categorical])
            if absent:
                return None, f"{champion.release_id} needs inputs that the holdout lacks: {', '.join(absent)}"
            return _scores(scorer, holdout), ""
        except BundleError as problem:
            return None, f"{champion.release_id} cannot be read: {problem}"

    def _latency_ms(self, scorer: Scorer, holdout: Holdout) -> float:
        """Return the median time to score one row, in milliseconds."""
        if not len(holdout.label):
            return 0.0
        numeric = holdout.numeric(scorer.numeric)[:1]
        categorical = holdout.categorical(scorer.categorical)[:1]
        spent = []
        for _ in range(_TIMED_CALLS):
            started = self.clock.monotonic_s()
            scorer.score(numeric, categorical)
            spent.append(self.clock.monotonic_s() - started)
        return statistics.median(spent) * 1000.0


def resampling_of(loop: LoopDefinition) -> Resampling:
    """Return a loop's bootstrap parameters."""
    return Resampling(loop.rollout.level, loop.rollout.resamples, loop.rollout.seed)


def _scores(scorer: Scorer, holdout: Holdout) -> Floats:
    return scorer.score(holdout.numeric(scorer.numeric), holdout.categorical(scorer.categorical))


def _difference(score: Floats, recorded: Floats) -> float:
    """Return the largest difference relative to max(1, |recorded|). Rows not finite in both are left to the gates."""
    both = np.isfinite(score) & np.isfinite(recorded)
    difference = np.abs(score[both] - recorded[both]) / np.maximum(1.0, np.abs(recorded[both]))
    return float(difference.max(initial=0.0))
