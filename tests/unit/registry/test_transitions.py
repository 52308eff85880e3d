from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from driftloop.events.release_end import ReleaseEnd
from driftloop.events.verdict_outcome import VerdictOutcome
from services.registry.domain import transitions as machine
from services.registry.domain.release import (
    ApprovalRequested,
    Change,
    Created,
    Entered,
    LoopReleases,
    Promoted,
    Rejected,
    RolledBack,
    Routed,
    Stage,
)
from services.registry.domain.verdict import Verdict
from tests.unit.registry.builders import CANARY, DAY_MS, SHADOW, WIDER, candidate, in_stage, offline, policy

BETTER, WORSE, UNKNOWN = VerdictOutcome.BETTER, VerdictOutcome.WORSE, VerdictOutcome.NOT_KNOWN_YET


def with_champion() -> LoopReleases:
    return machine.judge_offline(LoopReleases("orders"), candidate(1), offline(1), policy()).state


def in_shadow() -> LoopReleases:
    return machine.judge_offline(with_champion(), candidate(2), offline(2, time_ms=DAY_MS), policy()).state


def in_canary() -> LoopReleases:
    verdict = in_stage(2, "shadow", 0, BETTER, 4 * DAY_MS)
    return machine.judge_stage(in_shadow(), verdict, policy()).state


def kinds(change: Change) -> list[type]:
    return [type(fact) for fact in change.facts]


def routes(change: Change) -> list[tuple[int, str, str, float]]:
    return [
        (fact.epoch, fact.champion.release_id, fact.challenger.release_id, fact.challenger.share)
        if fact.challenger
        else (fact.epoch, fact.champion.release_id, "", 0.0)
        for fact in change.facts
        if isinstance(fact, Routed)
    ]


def test_the_first_pass_makes_the_first_champion_with_all_facts() -> None:
    change = machine.judge_offline(LoopReleases("orders"), candidate(1), offline(1), policy())
    assert kinds(change) == [Created, Entered, Routed, Promoted]
    assert routes(change) == [(1, "r-1", "", 0.0)]
    assert change.state.champion is not None
    assert change.state.champion.stage is Stage.CHAMPION
    assert change.facts[3] == Promoted(change.state.champion, "", ("v-1",))


@pytest.mark.parametrize("outcome", [WORSE, UNKNOWN])
def test_a_candidate_that_fails_offline_is_rejected_without_a_release(outcome: VerdictOutcome) -> None:
    change = machine.judge_offline(with_champion(), candidate(2), offline(2, outcome), policy())
    assert kinds(change) == [Rejected]
    assert change.state == with_champion()


def test_a_pass_enters_the_first_step() -> None:
    change = machine.judge_offline(with_champion(), candidate(2), offline(2), policy())
    assert kinds(change) == [Created, Entered, Routed]
    assert routes(change) == [(2, "r-1", "r-2", 0.0)]
    assert change.state.open is not None
    assert (change.state.open.stage, change.state.open.step) == (Stage.SHADOW, 0)


def test_a_second_candidate_while_one_is_open_is_rejected_with_the_reason() -> None:
    change = machine.judge_offline(in_shadow(), candidate(3), offline(3), policy())
    assert kinds(change) == [Rejected]
    assert change.state.open == in_shadow().open
    fact = change.facts[0]
    assert isinstance(fact, Rejected)
    assert "r-2 is open" in fact.reason


def test_better_verdicts_advance_a_release_through_all_steps_to_champion() -> None:
    steps = policy(SHADOW, CANARY, WIDER)
    state, published = in_shadow(), []
    for day, (stage, step) in enumerate([("shadow", 0), ("canary", 1), ("canary", 2)], start=4):
        change = machine.judge_stage(state, in_stage(2, stage, step, BETTER, day * DAY_MS), steps)
        state = change.state
        published += routes(change)
    assert published == [(3, "r-1", "r-2", 0.1), (4, "r-1", "r-2", 0.5), (5, "r-2", "", 0.0)]
    assert kinds(change) == [Entered, Entered, Routed, Promoted]
    assert change.facts[-1] == Promoted(state.champion, "r-1", ("v-2-518400000", "w-1"))  # type: ignore[arg-type]
    assert [release.release_id for release in state.former] == ["r-1"]
    assert state.former[0].stage is Stage.RETIRED
    assert state.open is None


@pytest.mark.parametrize(("outcome", "limit"), [(WORSE, False), (UNKNOWN, True)])
def test_a_shadow_that_fails_is_rejected(outcome: VerdictOutcome, limit: bool) -> None:
    change = machine.judge_stage(in_shadow(), in_stage(2, "shadow", 0, outcome, 4 * DAY_MS, limit=limit), policy())
    assert kinds(change) == [Entered, Routed, Rejected]
    assert routes(change) == [(3, "r-1", "", 0.0)]
    assert change.state.open is None


@pytest.mark.parametrize(("outcome", "limit"), [(WORSE, False), (UNKNOWN, True)])
def test_a_canary_that_fails_is_rolled_back(outcome: VerdictOutcome, limit: bool) -> None:
    change = machine.judge_stage(in_canary(), in_stage(2, "canary", 1, outcome, 9 * DAY_MS, limit=limit), policy())
    assert kinds(change) == [Entered, Routed, RolledBack]
    fact = change.facts[2]
    assert isinstance(fact, RolledBack)
    assert (fact.from_stage, fact.to_id) == (Stage.CANARY, "r-1")


def paused(state: LoopReleases) -> LoopReleases:
    return machine.set_paused(state, True, 0).state


def route_failed(state: LoopReleases) -> Change:
    return machine.fail_route(state, state.epoch, "no probe", (), 5 * DAY_MS)


def waiting() -> LoopReleases:
    return machine.judge_stage(paused(in_shadow()), in_stage(2, "shadow", 0, BETTER, 4 * DAY_MS), policy()).state


ENDS = [
    (lambda: machine.judge_offline(with_champion(), candidate(2), offline(2, WORSE), policy()), ReleaseEnd.REFUSED),
    (lambda: machine.judge_offline(in_shadow(), candidate(3), offline(3), policy()), ReleaseEnd.BUSY),
    (lambda: machine.judge_offline(paused(with_champion()), candidate(2), offline(2), policy()), ReleaseEnd.BUSY),
    (lambda: judged(in_shadow(), "shadow", 0, WORSE), ReleaseEnd.WORSE),
    (lambda: judged(in_shadow(), "shadow", 0, UNKNOWN, limit=True), ReleaseEnd.UNCLEAR),
    (lambda: judged(in_canary(), "canary", 1, WORSE), ReleaseEnd.WORSE),
    (lambda: judged(in_canary(), "canary", 1, UNKNOWN, limit=True), ReleaseEnd.UNCLEAR),
    (lambda: judged(waiting(), "shadow", 0, UNKNOWN, day=999), ReleaseEnd.NOT_APPROVED),
    (lambda: machine.reject(in_shadow(), "r-2", "no", (), 5 * DAY_MS), ReleaseEnd.COMMAND),
    (lambda: machine.roll_back(in_shadow(), "no", (), 5 * DAY_MS), ReleaseEnd.COMMAND),
    (lambda: route_failed(in_shadow()), ReleaseEnd.ROUTE_FAILED),
]


def judged(
    state: LoopReleases, stage: str, step: int, outcome: VerdictOutcome, *, limit: bool = False, day: int = 9
) -> Change:
    return machine.judge_stage(state, in_stage(2, stage, step, outcome, day * DAY_MS, limit=limit), policy())


@pytest.mark.parametrize(("end", "cause"), ENDS)
def test_every_end_of_a_release_says_its_cause(end: Callable[[], Change], cause: ReleaseEnd) -> None:
    (fact,) = [fact for fact in end().facts if isinstance(fact, Rejected | RolledBack)]
    assert fact.cause is cause


def test_an_undecided_verdict_changes_nothing() -> None:
    change = machine.judge_stage(in_shadow(), in_stage(2, "shadow", 0, UNKNOWN, 4 * DAY_MS), policy())
    assert (change.facts, change.ignored) == ((), "not known yet")


@pytest.mark.parametrize(
    "verdict",
    [
        in_stage(2, "shadow", 0, WORSE, 9 * DAY_MS),
        in_stage(2, "canary", 2, WORSE, 9 * DAY_MS),
        in_stage(2, "canary", 1, WORSE, 4 * DAY_MS),
        in_stage(9, "canary", 1, WORSE, 9 * DAY_MS),
    ],
    ids=["another stage", "another step", "a window before the stage", "another release"],
)
def test_a_verdict_on_anything_but_the_open_step_changes_nothing(verdict: Verdict) -> None:
    change = machine.judge_stage(in_canary(), verdict, policy())
    assert change.facts == ()
    assert change.ignored
    assert change.state == in_canary()


def test_a_step_with_approval_waits_in_its_stage() -> None:
    steps = policy({**SHADOW, "approval": True}, CANARY)
    requested = machine.judge_stage(in_shadow(), in_stage(2, "shadow", 0, BETTER, 4 * DAY_MS), steps)
    assert kinds(requested) == [ApprovalRequested]
    fact = requested.facts[0]
    assert isinstance(fact, ApprovalRequested)
    assert (fact.to_stage, fact.deadline_ms) == (Stage.CANARY, (4 + 5) * DAY_MS)
    assert requested.state.open is not None
    assert requested.state.open.stage is Stage.SHADOW
    approved = machine.approve(requested.state, "r-2", "approved by ann", ("c-1",), 5 * DAY_MS, steps)
    assert routes(approved) == [(3, "r-1", "r-2", 0.1)]


def waiting_for_approval() -> tuple[LoopReleases, machine.Policy]:
    steps = policy({**SHADOW, "approval": True}, CANARY)
    return machine.judge_stage(in_shadow(), in_stage(2, "shadow", 0, BETTER, 4 * DAY_MS), steps).state, steps


@pytest.mark.parametrize("limit", [False, True])
def test_each_window_asks_for_the_approval_again_with_the_first_deadline(limit: bool) -> None:
    state, steps = waiting_for_approval()
    outcome = UNKNOWN if limit else BETTER
    change = machine.judge_stage(state, in_stage(2, "shadow", 0, outcome, 6 * DAY_MS, limit=limit), steps)
    fact = change.facts[0]
    assert isinstance(fact, ApprovalRequested)
    assert fact.deadline_ms == (4 + 5) * DAY_MS


@pytest.mark.parametrize(("outcome", "day"), [(WORSE, 6), (BETTER, 10), (UNKNOWN, 10)])
def test_a_waiting_release_can_be_rejected(outcome: VerdictOutcome, day: int) -> None:
    state, steps = waiting_for_approval()
    change = machine.judge_stage(state, in_stage(2, "shadow", 0, outcome, day * DAY_MS), steps)
    assert kinds(change) == [Entered, Routed, Rejected]


OBJECT = {**SHADOW, "approval": True, "approval_within": "2d", "approval_else": "proceed"}


@pytest.mark.parametrize("policy_", [policy(OBJECT, CANARY), policy({**OBJECT, "approval_else": "reject"}, CANARY)])
def test_the_policy_sets_the_approval_deadline(policy_: machine.Policy) -> None:
    requested = machine.judge_stage(in_shadow(), in_stage(2, "shadow", 0, BETTER, 4 * DAY_MS), policy_)
    assert requested.state.open is not None
    assert requested.state.open.approval_deadline_ms == 6 * DAY_MS


@pytest.mark.parametrize(
    ("outcome", "day", "limit", "facts"),
    [
        (BETTER, 6, False, [ApprovalRequested]),
        (BETTER, 7, False, [Entered, Routed]),
        (BETTER, 7, True, [Entered, Routed]),
        (UNKNOWN, 7, False, []),
        (UNKNOWN, 7, True, [Entered, Routed, Rejected]),
        (WORSE, 7, False, [Entered, Routed, Rejected]),
    ],
)
def test_with_approval_else_proceed_a_better_verdict_after_the_deadline_advances(
    outcome: VerdictOutcome, day: int, limit: bool, facts: list[type]
) -> None:
    steps = policy(OBJECT, CANARY)
    state = machine.judge_stage(in_shadow(), in_stage(2, "shadow", 0, BETTER, 4 * DAY_MS), steps).state
    change = machine.judge_stage(state, in_stage(2, "shadow", 0, outcome, day * DAY_MS, limit=limit), steps)
    assert kinds(change) == facts
    if facts == [Entered, Routed]:
        assert change.state.open is not None
        assert change.state.open.stage is Stage.CANARY


def test_in_a_paused_loop_a_release_never_advances_without_an_approval() -> None:
    steps = policy(OBJECT, CANARY)
    state = machine.judge_stage(in_shadow(), in_stage(2, "shadow", 0, BETTER, 4 * DAY_MS), steps).state
    paused = machine.set_paused(state, True, 0).state
    assert kinds(machine.judge_stage(paused, in_stage(2, "shadow", 0, BETTER, 9 * DAY_MS), steps)) == [
        ApprovalRequested
    ]


def test_a_user_can_reject_the_open_release() -> None:
    assert kinds(machine.reject(waiting_for_approval()[0], "r-2", "no", (), 0)) == [Entered, Routed, Rejected]
    assert kinds(machine.reject(in_canary(), "r-2", "no", (), 0)) == [Entered, Routed, RolledBack]
    assert machine.reject(in_canary(), "r-1", "no", (), 0).ignored


@pytest.mark.parametrize("release_id", ["r-2", "r-1", ""])
def test_an_approval_that_was_not_requested_changes_nothing(release_id: str) -> None:
    change = machine.approve(in_shadow(), release_id, "yes", (), 0, policy())
    assert (change.facts, change.state) == ((), in_shadow())


def test_rollback_ends_the_open_release_first_then_each_champion() -> None:
    promoted = machine.judge_stage(in_canary(), in_stage(2, "canary", 1, BETTER, 9 * DAY_MS), policy()).state
    third = machine.judge_offline(promoted, candidate(3), offline(3, time_ms=10 * DAY_MS), policy()).state
    first = machine.roll_back(third, "enough", ("c-1",), 11 * DAY_MS)
    assert kinds(first) == [Entered, Routed, RolledBack]
    assert routes(first) == [(6, "r-2", "", 0.0)]
    second = machine.roll_back(first.state, "enough", ("c-2",), 12 * DAY_MS)
    assert kinds(second) == [Entered, Entered, Routed, RolledBack]
    assert routes(second) == [(7, "r-1", "", 0.0)]
    assert second.state.champion is not None
    assert second.state.champion.from_stage is Stage.RETIRED
    assert machine.roll_back(second.state, "enough", (), 13 * DAY_MS).ignored


def test_a_failed_route_ends_its_release() -> None:
    for state, last in ((in_shadow(), Rejected), (in_canary(), RolledBack)):
        change = machine.fail_route(state, state.epoch, "no probe", ("f-1",), 0)
        assert kinds(change) == [Entered, Routed, last]
        assert routes(change) == [(state.epoch + 1, "r-1", "", 0.0)]


def test_a_champion_whose_route_fails_is_replaced_by_the_previous_one() -> None:
    promoted = machine.judge_stage(in_canary(), in_stage(2, "canary", 1, BETTER, 9 * DAY_MS), policy()).state
    change = machine.fail_route(promoted, promoted.epoch, "no probe", ("f-1",), 0)
    assert routes(change) == [(5, "r-1", "", 0.0)]
    assert kinds(change) == [Entered, Entered, Routed, RolledBack]
    again = machine.fail_route(change.state, change.state.epoch, "no probe", ("f-2",), 0)
    assert again.ignored == "there is no champion before the one that failed"


def test_a_first_champion_whose_route_fails_leaves_no_champion() -> None:
    change = machine.fail_route(with_champion(), 1, "no probe", ("f-1",), 0)
    assert kinds(change) == [Entered, RolledBack]
    assert (change.state.champion, change.state.epoch) == (None, 2)
    again = machine.judge_offline(change.state, candidate(2), offline(2), policy())
    assert routes(again) == [(3, "r-2", "", 0.0)]


def test_a_failed_route_that_is_old_or_a_fallback_changes_nothing() -> None:
    assert machine.fail_route(in_canary(), 2, "no probe", (), 0).ignored
    rejected = machine.judge_stage(in_shadow(), in_stage(2, "shadow", 0, WORSE, 4 * DAY_MS), policy()).state
    assert machine.fail_route(rejected, rejected.epoch, "no probe", (), 0).ignored


def test_while_paused_better_asks_worse_ends_and_candidates_are_rejected() -> None:
    paused = machine.set_paused(in_shadow(), True, 0).state
    requested = machine.judge_stage(paused, in_stage(2, "shadow", 0, BETTER, 4 * DAY_MS), policy())
    assert kinds(requested) == [ApprovalRequested]
    resumed = machine.set_paused(requested.state, False, 1).state
    advanced = machine.judge_stage(resumed, in_stage(2, "shadow", 0, BETTER, 5 * DAY_MS), policy())
    assert routes(advanced) == [(3, "r-1", "r-2", 0.1)]
    ended = machine.judge_stage(paused, in_stage(2, "shadow", 0, WORSE, 4 * DAY_MS), policy())
    assert kinds(ended) == [Entered, Routed, Rejected]
    alone = replace(with_champion(), paused=True)
    assert kinds(machine.judge_offline(alone, candidate(2), offline(2), policy())) == [Rejected]


def test_a_shortened_policy_promotes_from_its_last_step() -> None:
    change = machine.judge_stage(in_canary(), in_stage(2, "canary", 1, BETTER, 9 * DAY_MS), policy(SHADOW))
    assert kinds(change)[-1] is Promoted


def test_event_time_never_decreases() -> None:
    change = machine.judge_offline(replace(with_champion(), time_ms=50), candidate(2), offline(2, time_ms=10), policy())
    assert change.state.time_ms == 50
    assert change.state.open is not None
    assert change.state.open.entered_ms == 50
