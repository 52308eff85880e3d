from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from driftloop.events.verdict_outcome import VerdictOutcome
from driftloop.loop.definition import Step
from services.evaluation.domain.bootstrap import Resampling
from services.evaluation.domain.rollout import Evidence, PairedLosses, judge

HOW = Resampling(level=0.95, resamples=1000, seed=0)


def paired(gains: list[float], rows: int = 100, first_block: int = 0) -> PairedLosses:
    count = len(gains)
    sizes = np.full(count, rows)
    champion = np.full(count, 0.5) * sizes
    return PairedLosses(
        np.arange(first_block, first_block + count), sizes, champion, champion - np.array(gains) * sizes
    )


def step(**changes: Any) -> Step:
    return Step.model_validate({"stage": "shadow", "min_blocks": 4, "max_blocks": 8, **changes})


@pytest.mark.parametrize(
    ("gains", "margin", "outcome", "limit"),
    [
        ([0.05, 0.06, 0.04, 0.05], 0.0, VerdictOutcome.BETTER, False),
        ([-0.05, -0.06, -0.04, -0.05], 0.0, VerdictOutcome.WORSE, False),
        ([0.05, -0.06, 0.04, -0.05], 0.0, VerdictOutcome.NOT_KNOWN_YET, False),
        ([0.05, 0.06, 0.04], 0.0, VerdictOutcome.NOT_KNOWN_YET, False),
        ([-0.05, -0.06, -0.04], 0.0, VerdictOutcome.NOT_KNOWN_YET, False),
        ([0.05, 0.06, 0.04, 0.05], 0.1, VerdictOutcome.WORSE, False),
        ([-0.05, -0.06, -0.04, -0.05], -0.1, VerdictOutcome.BETTER, False),
        ([0.05, -0.05] * 4, 0.0, VerdictOutcome.NOT_KNOWN_YET, True),
        ([0.05, 0.06] * 4, 0.0, VerdictOutcome.BETTER, False),
        ([], 0.0, VerdictOutcome.NOT_KNOWN_YET, False),
    ],
)
def test_the_verdict_follows_from_interval_and_margin(
    gains: list[float], margin: float, outcome: VerdictOutcome, limit: bool
) -> None:
    judgement = judge(Evidence(paired(gains)), step(margin=margin), HOW, "verdict")
    assert (judgement.outcome, judgement.limit_reached) == (outcome, limit)
    assert judgement.reasons


def test_blocks_without_paired_rows_do_not_count() -> None:
    empty = paired([9.0, 9.0, 9.0], rows=0, first_block=50)
    full = paired([0.05, 0.06, 0.04])
    all_rows = PairedLosses(
        *(np.concatenate([getattr(full, n), getattr(empty, n)]) for n in PairedLosses.__annotations__)
    )
    judgement = judge(Evidence(all_rows), step(), HOW, "verdict")
    assert judgement.outcome is VerdictOutcome.NOT_KNOWN_YET
    assert judgement.metrics["stage_blocks"] == 3
    assert judgement.interval is not None
    assert judgement.interval.rows == 300


def test_stage_evidence_ignores_blocks_before_the_stage() -> None:
    evidence = Evidence(paired([0.5] * 6 + [-0.05, -0.06, -0.04, -0.05]), stage_start_ms=6)
    by_release = judge(evidence, step(evidence="release"), HOW, "verdict")
    by_stage = judge(evidence, step(evidence="stage"), HOW, "verdict")
    assert by_release.interval is not None
    assert by_stage.interval is not None
    assert (by_release.interval.blocks, by_stage.interval.blocks) == (10, 4)
    assert by_stage.outcome is VerdictOutcome.WORSE


def test_release_evidence_still_needs_the_minimum_of_stage_blocks() -> None:
    evidence = Evidence(paired([0.05] * 6 + [0.06]), stage_start_ms=6)
    assert judge(evidence, step(evidence="release"), HOW, "verdict").outcome is VerdictOutcome.NOT_KNOWN_YET


def test_a_losing_slice_is_reported_and_does_not_decide() -> None:
    slices = {"shop=north": paired([-0.2] * 4), "shop=south": paired([0.2] * 4), "shop=new": paired([1.0])}
    judgement = judge(Evidence(paired([0.05, 0.06, 0.04, 0.05]), slices), step(), HOW, "verdict")
    assert judgement.outcome is VerdictOutcome.BETTER
    assert sorted(judgement.slices) == ["shop=north", "shop=south"]
    assert [reason for reason in judgement.reasons if reason.startswith("slice shop=north loses")]
    assert not [reason for reason in judgement.reasons if "shop=south" in reason]
