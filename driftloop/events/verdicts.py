"""Fields of verdicts that moved between versions."""

from __future__ import annotations

from driftloop.contracts import evaluation_pb2 as evaluation

FORMER_STEP = "step"
"""Key in ``metrics`` that held the rollout step before it became a field."""


def verdict_step(verdict: evaluation.VerdictReached) -> int | None:
    """Return the index of the rollout step that a verdict judges, or None for an offline verdict."""
    if verdict.HasField("step"):
        return verdict.step
    return int(verdict.metrics[FORMER_STEP]) if FORMER_STEP in verdict.metrics else None
