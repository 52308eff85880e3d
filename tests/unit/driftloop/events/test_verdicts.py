from __future__ import annotations

import pytest

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.events.verdicts import verdict_step


@pytest.mark.parametrize(
    ("verdict", "step"),
    [
        (evaluation.VerdictReached(step=0), 0),
        (evaluation.VerdictReached(step=2), 2),
        (evaluation.VerdictReached(metrics={"step": 1.0}), 1),
        (evaluation.VerdictReached(step=2, metrics={"step": 1.0}), 2),
        (evaluation.VerdictReached(metrics={"rows": 10}), None),
    ],
    ids=["first step", "field", "metric of an earlier version", "field wins", "offline"],
)
def test_a_verdicts_step_is_read_from_its_field_or_from_the_metric_of_earlier_versions(
    verdict: evaluation.VerdictReached, step: int | None
) -> None:
    assert verdict_step(evaluation.VerdictReached.FromString(verdict.SerializeToString())) == step
