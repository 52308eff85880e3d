"""The rollout plan of a loop's definition, with which the page shows a release's progress."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.events.envelope import Envelope
from driftloop.events.verdicts import verdict_step
from driftloop.loop.definition import LoopDefinition
from driftloop.model.labels import LabelKind
from driftloop.readmodel.loops import LoopState
from driftloop.readmodel.releases import ReleaseState


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """A step of the rollout."""

    stage: str
    share: float
    """Share of keys that the challenger answers."""
    min_blocks: int
    max_blocks: int
    margin: float
    """The interval's lower end must exceed this gain."""
    approval: bool
    """Whether the next step needs approval."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A loop's rollout and alarms."""

    steps: tuple[PlannedStage, ...]
    level: float
    """Level of the intervals."""
    loss: str
    """Name of the loss."""
    thresholds: dict[str, float]
    """Threshold of each detector of an input's stability index, by input."""
    slices: dict[str, int] = field(default_factory=dict)
    """Minimum rows of each slice, by name."""


_LOSS: dict[LabelKind, str] = {
    "binary": "log loss",
    "regression": "squared error",
    "count": "Poisson deviance",
    "multiclass": "log loss over the classes",
}


def plan(definition: LoopDefinition) -> Plan:
    """Return the plan of a definition."""
    steps = tuple(
        PlannedStage(step.stage, step.share, step.min_blocks, step.max_blocks, step.margin, step.approval)
        for step in definition.rollout.steps
    )
    thresholds = {
        detector.on: detector.threshold
        for detector in definition.monitoring.detectors.values()
        if detector.on is not None
    }
    slices = {name: slice_.min_rows for name, slice_ in definition.monitoring.slices.items()}
    return Plan(steps, definition.rollout.level, _LOSS[definition.label.kind], thresholds, slices)


def newest_verdict(state: LoopState, release: ReleaseState) -> Envelope[evaluation.VerdictReached] | None:
    """Return the newest verdict on the open release since it entered its stage."""
    since_ms = release.stages[-1].since_ms if release.stages else 0
    verdicts = [
        verdict for verdict in release.verdicts if verdict.data.stage == state.stage and verdict.time_ms > since_ms
    ]
    return verdicts[-1] if verdicts else None


def progress(plan: Plan | None, state: LoopState, release: ReleaseState) -> dict[str, Any]:
    """Return the progress of the open release in its stage.

    `blocks`: paired blocks so far, of `step.min_blocks` to `step.max_blocks`. `step` is None if the loop's definition
    is not here, or no longer has the step.
    """
    newest = newest_verdict(state, release)
    index = verdict_step(newest.data) if newest else None
    step = _step(plan, state, -1 if index is None else index)
    blocks = int(newest.data.metrics.get("stage_blocks", 0)) if newest else 0
    return {"blocks": blocks, "step": asdict(step) if step else None}


def _step(plan: Plan | None, state: LoopState, index: int) -> PlannedStage | None:
    """Return the step that a verdict names; before the first verdict, the step with the stage and share."""
    steps = plan.steps if plan else ()
    if 0 <= index < len(steps):
        return steps[index]
    same_stage = [step for step in steps if step.stage == state.stage]
    return next((step for step in same_stage if step.share == state.share), same_stage[0] if same_stage else None)
