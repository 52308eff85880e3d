"""What a loop's definition asks of a release: the yardstick beside which the page shows how far one is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from driftloop.loop.definition import LoopDefinition
from driftloop.readmodel.loops import LoopState
from driftloop.readmodel.releases import ReleaseState


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """A step of the rollout."""

    stage: str
    share: float
    """Of keys answered by the challenger."""
    min_blocks: int
    max_blocks: int
    margin: float
    """Gain that the interval's lower end must be above."""
    approval: bool
    """Whether a person must approve what comes after it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A loop's rollout and alarms."""

    steps: tuple[PlannedStage, ...]
    level: float
    """Of the intervals."""
    loss: str
    """What the loss is, in words."""
    thresholds: dict[str, float]
    """Of each detector of an input's stability index, by input."""


_LOSS = {"binary": "log loss", "regression": "squared error", "count": "Poisson deviance"}


def plan(definition: LoopDefinition) -> Plan:
    """What the page tells of a definition."""
    steps = tuple(
        PlannedStage(step.stage, step.share, step.min_blocks, step.max_blocks, step.margin, step.approval)
        for step in definition.rollout.steps
    )
    watched = {each.on: each.threshold for each in definition.monitoring.detectors.values() if each.on is not None}
    return Plan(steps, definition.rollout.level, _LOSS[definition.label.kind], watched)


def progress(plan: Plan | None, state: LoopState, release: ReleaseState | None) -> dict[str, Any] | None:
    """How far the open release is in its stage; None where none is open.

    `blocks` with paired rows so far, of `step.min_blocks` to `step.max_blocks`. `step` is None where the loop's
    definition is not here, or has no such step any more.
    """
    if release is None or not state.release:
        return None
    since_ms = release.stages[-1].since_ms if release.stages else 0
    judged = [each.data for each in release.verdicts if each.data.stage == state.stage and each.time_ms >= since_ms]
    newest = judged[-1] if judged else None
    steps = [each for each in (plan.steps if plan else ()) if each.stage == state.stage]
    at = int(newest.metrics.get("step", -1)) if newest else -1
    if plan and 0 <= at < len(plan.steps):
        steps = [plan.steps[at]]
    else:  # not judged yet: the step whose share it has
        steps = [each for each in steps if each.share == state.share] or steps
    return {
        "blocks": int(newest.metrics.get("stage_blocks", 0)) if newest else 0,
        "step": asdict(steps[0]) if steps else None,
    }
