"""A rollout that is edited while a release is on one of its steps still ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftloop.events.verdict_outcome import VerdictOutcome
from driftloop.loop.definition import RolloutDefinition
from services.registry.domain import transitions as machine
from services.registry.domain.release import LoopReleases, Stage
from services.registry.domain.transitions import Policy
from tests.unit.registry.builders import CANARY, DAY_MS, SHADOW, WIDER, candidate, in_stage, offline

APPROVED = {**WIDER, "approval": True}
STEPS = st.lists(st.sampled_from([SHADOW, CANARY, WIDER, APPROVED]), min_size=1, max_size=4)
BETTER, WORSE, UNKNOWN = VerdictOutcome.BETTER, VerdictOutcome.WORSE, VerdictOutcome.NOT_KNOWN_YET


def policy(steps: list[dict[str, Any]]) -> Policy:
    return Policy(RolloutDefinition.model_validate({"steps": steps}).steps, DAY_MS)


def on_step(steps: list[dict[str, Any]], step: int, paused: bool = False) -> LoopReleases:
    """Return a loop with an open release on a step."""
    rules = policy(steps)
    state = machine.judge_offline(LoopReleases("orders"), candidate(1), offline(1), rules).state
    state = machine.judge_offline(state, candidate(2), offline(2, time_ms=DAY_MS), rules).state
    for day in range(2, 20):
        if state.open is None or state.open.step == step:
            break
        state = judged(state, rules, BETTER, day)
    return replace(state, paused=paused)


def judged(
    state: LoopReleases, rules: Policy, outcome: VerdictOutcome, day: int, *, limit: bool = False
) -> LoopReleases:
    """Apply a verdict on the stage that the release is in, and approve it if that is what it waits for."""
    release = state.open
    assert release is not None
    verdict = in_stage(2, release.stage, release.step, outcome, day * DAY_MS, limit=limit)
    state = machine.judge_stage(state, verdict, rules).state
    if state.open is not None and state.open.approval_deadline_ms is not None:
        state = machine.approve(state, "r-2", "approved", (), day * DAY_MS, rules).state
    return state


@given(STEPS, STEPS, st.integers(0, 3), st.booleans())
def test_a_better_release_is_promoted_whatever_the_steps_are_now(
    before: list[dict[str, Any]], after: list[dict[str, Any]], step: int, paused: bool
) -> None:
    state = on_step(before, min(step, len(before) - 1), paused)
    for day in range(20, 20 + len(after) + 1):
        if state.open is not None:
            state = judged(state, policy(after), BETTER, day)
    assert state.open is None
    assert state.champion is not None
    assert state.champion.release_id == "r-2"


@given(STEPS, STEPS, st.integers(0, 3))
def test_a_worse_release_and_one_at_its_limit_end_whatever_the_steps_are_now(
    before: list[dict[str, Any]], after: list[dict[str, Any]], step: int
) -> None:
    state = on_step(before, min(step, len(before) - 1))
    assert judged(state, policy(after), WORSE, 20).open is None
    assert judged(state, policy(after), UNKNOWN, 20, limit=True).open is None


@pytest.mark.parametrize("outcome", [BETTER, WORSE])
def test_a_release_that_waits_for_an_approval_is_not_stuck_without_its_step(outcome: VerdictOutcome) -> None:
    steps = [SHADOW, CANARY, APPROVED]
    state = on_step(steps, 2)
    verdict = in_stage(2, "canary", 2, BETTER, 20 * DAY_MS)
    state = machine.judge_stage(state, verdict, policy(steps)).state
    assert state.open is not None
    assert state.open.approval_deadline_ms is not None
    state = judged(state, policy([SHADOW]), outcome, 21)
    assert state.open is None
    assert state.champion is not None
    assert state.champion.stage is Stage.CHAMPION


def test_a_step_that_was_removed_is_judged_by_the_last_one() -> None:
    rollout = RolloutDefinition.model_validate({"steps": [SHADOW, CANARY]})
    assert [rollout.step(index).stage for index in range(4)] == ["shadow", "canary", "canary", "canary"]
