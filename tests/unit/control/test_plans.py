from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.loop import load_loop
from driftloop.model.labels import LabelKind
from driftloop.process.settings import ROOT
from driftloop.readmodel.loop_history import LoopHistory
from driftloop.readmodel.loops import LoopState
from driftloop.readmodel.releases import ReleaseState
from services.control.web.plans import Plan, PlannedStage, newest_verdict, plan, progress
from tests.helpers.event_log import LOOP, EventLog, two_champions

STEPS = (PlannedStage("shadow", 0.0, 4, 12, 0.0, True), PlannedStage("canary", 0.1, 3, 8, -0.02, False))
PLAN = Plan(STEPS, 0.95, "log loss", {})


def shadowed() -> EventLog:
    """The log until r-2's entry to shadow, with a verdict of three blocks there."""
    whole = two_champions()
    at = next(n for n, each in enumerate(whole.events) if each.id == f"{LOOP}:converged 2")
    log = EventLog(events=whole.events[: at + 1], day=8)
    verdict = evaluation.VerdictReached(stage="shadow", release_id="r-2", outcome=evaluation.NOT_KNOWN_YET)
    verdict.metrics["stage_blocks"] = 3
    verdict.step = 0
    log.add("third", verdict, "drift", "shadow 2 at 2")
    return log


def newest(log: EventLog) -> tuple[LoopState, ReleaseState]:
    """Return the state of the loop and its newest release."""
    history = LoopHistory(LOOP, log.events)
    return history.state(), list(history.releases.values())[-1]


def test_a_plan_has_the_steps_of_the_definition() -> None:
    found = plan(load_loop(Path(ROOT / "tests/loops/orders")).definition)
    assert [(each.stage, each.share, each.min_blocks, each.max_blocks) for each in found.steps] == [
        ("shadow", 0.0, 4, 12),
        ("canary", 0.2, 3, 8),
    ]
    assert (found.level, found.loss, found.thresholds) == (0.95, "Poisson deviance", {"lines": 0.5})


@pytest.mark.parametrize("kind", get_args(LabelKind))
def test_the_loss_of_every_kind_of_label_has_a_name(kind: LabelKind) -> None:
    definition = load_loop(Path(ROOT / "tests/loops/orders")).definition
    label = definition.label.model_copy(update={"kind": kind})
    assert plan(definition.model_copy(update={"label": label})).loss


def test_progress_counts_the_blocks_of_the_current_stage() -> None:
    log = shadowed()
    found = progress(PLAN, *newest(log))
    assert (found["blocks"], found["step"]["stage"]) == (3, "shadow")
    log.entered(2, "canary", 3, 1, "third", "drift", "better in shadow")
    found = progress(PLAN, *newest(log))
    assert (found["blocks"], found["step"]["share"]) == (0, 0.1)


def test_a_new_stage_has_no_verdict() -> None:
    log = shadowed()
    log.entered(2, "shadow", 3, 1, "third", "drift", "a longer look")
    assert newest_verdict(*newest(log)) is None


def test_without_a_definition_only_blocks_are_known() -> None:
    log = shadowed()
    assert progress(None, *newest(log)) == {"blocks": 3, "step": None}
