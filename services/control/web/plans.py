"""What a loop's definition asks of a release: the yardstick beside which the page shows how far one is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.events.envelope import Envelope
from driftloop.events.verdicts import verdict_step
from driftloop.loop.definition import LoopDefinition
from driftloop.model.losses import LabelKind
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


_LOSS: dict[LabelKind, str] = {
    "binary": "log loss",
    "regression": "squared error",
    "count": "Poisson deviance",
    "multiclass": "log loss over the classes",
}


def plan(definition: LoopDefinition) -> Plan:
    """What the page says about a definition."""
    steps = tuple(
        PlannedStage(step.stage, step.share, step.min_blocks, step.max_blocks, step.margin, step.approval)
        for step in definition.rollout.steps
    )
    watched = {each.on: each.threshold for each in definition.monitoring.detectors.values() if each.on is not None}
    return Plan(steps, definition.rollout.level, _LOSS[definition.label.kind], watched)


def newest_verdict(state: LoopState, release: ReleaseState) -> Envelope[evaluation.VerdictReached] | None:
    """The newest on the open release since it entered the stage that it is in."""
    since_ms = release.stages[-1].since_ms if release.stages else 0
    found = [each for each in release.verdicts if each.data.stage == state.stage and each.time_ms > since_ms]
    return found[-1] if found else None


def progress(plan: Plan | None, state: LoopState, release: ReleaseState) -> dict[str, Any]:
    """How far the open release is in its stage.

    `blocks` with paired rows so far, of `step.min_blocks` to `step.max_blocks`. `step` is None where the loop's
    definition is not here, or has no such step any more.
    """
    newest = newest_verdict(state, release)
    judged = verdict_step(newest.data) if newest else None
    step = _step(plan, state, -1 if judged is None else judged)
    blocks = int(newest.data.metrics.get("stage_blocks", 0)) if newest else 0
    return {"blocks": blocks, "step": asdict(step) if step else None}


def _step(plan: Plan | None, state: LoopState, at: int) -> PlannedStage | None:
    """The step that a verdict names; before the first, the one of the stage and the share."""
    steps = plan.steps if plan else ()
    if 0 <= at < len(steps):
        return steps[at]
    alike = [each for each in steps if each.stage == state.stage]
    return next((each for each in alike if each.share == state.share), alike[0] if alike else None)
