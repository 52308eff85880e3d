from __future__ import annotations

from dataclasses import replace

import pytest

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


def test_the_first_pass_makes_the_first_champion_by_the_same_events() -> None:
    change = machine.judge_offline(LoopReleases("orders"), candidate(1), offline(1), policy())
    assert kinds(change) == [Created, Entered, Routed, Promoted]
    assert routes(change) == [(1, "r-1", "", 0.0)]
    assert change.state.champion is not None
    assert change.state.champion.stage is Stage.CHAMPION
    assert change.facts[3] == Promoted(change.state.champion, "", ("v-1",))


@pytest.mark.parametrize("outcome", [WORSE, UNKNOWN])
def test_a_candidate_that_fails_offline_is_rejected_and_never_a_release(outcome: VerdictOutcome) -> None:
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


def test_better_goes_from_step_to_step_and_in_the_last_one_to_champion() -> None:
    steps = policy(SHADOW, CANARY, WIDER)
    state, told = in_shadow(), []
    for day, (stage, step) in enumerate([("shadow", 0), ("canary", 1), ("canary", 2)], start=4):
        change = machine.judge_stage(state, in_stage(2, stage, step, BETTER, day * DAY_MS), steps)
        state = change.state
        told += routes(change)
    assert told == [(3, "r-1", "r-2", 0.1), (4, "r-1", "r-2", 0.5), (5, "r-2", "", 0.0)]
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


def test_not_known_yet_waits() -> None:
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


def test_a_step_that_needs_approval_waits_for_it_in_its_stage() -> None:
    steps = policy({**SHADOW, "approval": True}, CANARY)
    asked = machine.judge_stage(in_shadow(), in_stage(2, "shadow", 0, BETTER, 4 * DAY_MS), steps)
    assert kinds(asked) == [ApprovalRequested]
    fact = asked.facts[0]
    assert isinstance(fact, ApprovalRequested)
    assert (fact.to_stage, fact.deadline_ms) == (Stage.CANARY, (4 + 5) * DAY_MS)
    assert asked.state.open is not None
    assert asked.state.open.stage is Stage.SHADOW
    let_on = machine.approve(asked.state, "r-2", "approved by ann", ("c-1",), 5 * DAY_MS, steps)
    assert routes(let_on) == [(3, "r-1", "r-2", 0.1)]


def waiting() -> tuple[LoopReleases, machine.Policy]:
    steps = policy({**SHADOW, "approval": True}, CANARY)
    return machine.judge_stage(in_shadow(), in_stage(2, "shadow", 0, BETTER, 4 * DAY_MS), steps).state, steps


@pytest.mark.parametrize("limit", [False, True])
def test_while_it_waits_each_window_reminds_and_the_first_deadline_stands(limit: bool) -> None:
    state, steps = waiting()
    outcome = UNKNOWN if limit else BETTER
    change = machine.judge_stage(state, in_stage(2, "shadow", 0, outcome, 6 * DAY_MS, limit=limit), steps)
    fact = change.facts[0]
    assert isinstance(fact, ApprovalRequested)
    assert fact.deadline_ms == (4 + 5) * DAY_MS


@pytest.mark.parametrize(("outcome", "day"), [(WORSE, 6), (BETTER, 10), (UNKNOWN, 10)])
def test_waiting_has_exits_to_rejection(outcome: VerdictOutcome, day: int) -> None:
    state, steps = waiting()
    change = machine.judge_stage(state, in_stage(2, "shadow", 0, outcome, day * DAY_MS), steps)
    assert kinds(change) == [Entered, Routed, Rejected]


OBJECT = {**SHADOW, "approval": True, "approval_within": "2d", "approval_else": "proceed"}


@pytest.mark.parametrize("policy_", [policy(OBJECT, CANARY), policy({**OBJECT, "approval_else": "reject"}, CANARY)])
def test_the_policy_says_how_long_a_person_may_take(policy_: machine.Policy) -> None:
    asked = machine.judge_stage(in_shadow(), in_stage(2, "shadow", 0, BETTER, 4 * DAY_MS), policy_)
    assert asked.state.open is not None
    assert asked.state.open.approval_deadline_ms == 6 * DAY_MS


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
def test_where_silence_is_consent_the_next_better_verdict_after_the_deadline_moves_it_on(
    outcome: VerdictOutcome, day: int, limit: bool, facts: list[type]
) -> None:
    steps = policy(OBJECT, CANARY)
    state = machine.judge_stage(in_shadow(), in_stage(2, "shadow", 0, BETTER, 4 * DAY_MS), steps).state
    change = machine.judge_stage(state, in_stage(2, "shadow", 0, outcome, day * DAY_MS, limit=limit), steps)
    assert kinds(change) == facts
    if facts == [Entered, Routed]:
        assert change.state.open is not None
        assert change.state.open.stage is Stage.CANARY


def test_in_a_paused_loop_silence_is_no_consent() -> None:
    steps = policy(OBJECT, CANARY)
    state = machine.judge_stage(in_shadow(), in_stage(2, "shadow", 0, BETTER, 4 * DAY_MS), steps).state
    paused = machine.set_paused(state, True).state
    assert kinds(machine.judge_stage(paused, in_stage(2, "shadow", 0, BETTER, 9 * DAY_MS), steps)) == [
        ApprovalRequested
    ]


def test_a_person_may_reject_what_is_open() -> None:
    assert kinds(machine.reject(waiting()[0], "r-2", "no", (), 0)) == [Entered, Routed, Rejected]
    assert kinds(machine.reject(in_canary(), "r-2", "no", (), 0)) == [Entered, Routed, RolledBack]
    assert machine.reject(in_canary(), "r-1", "no", (), 0).ignored


@pytest.mark.parametrize("release_id", ["r-2", "r-1", ""])
def test_an_approval_that_nobody_asked_for_changes_nothing(release_id: str) -> None:
    change = machine.approve(in_shadow(), release_id, "yes", (), 0, policy())
    assert (change.facts, change.state) == ((), in_shadow())


def test_rollback_takes_back_an_open_release_first_then_champions_one_by_one() -> None:
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


def test_a_failed_route_ends_the_release_that_brought_it() -> None:
    for state, last in ((in_shadow(), Rejected), (in_canary(), RolledBack)):
        change = machine.fail_route(state, state.epoch, "no probe", ("f-1",), 0)
        assert kinds(change) == [Entered, Routed, last]
        assert routes(change) == [(state.epoch + 1, "r-1", "", 0.0)]


def test_a_champion_whose_route_fails_gives_way_to_the_one_before() -> None:
    promoted = machine.judge_stage(in_canary(), in_stage(2, "canary", 1, BETTER, 9 * DAY_MS), policy()).state
    change = machine.fail_route(promoted, promoted.epoch, "no probe", ("f-1",), 0)
    assert routes(change) == [(5, "r-1", "", 0.0)]
    assert kinds(change) == [Entered, Entered, Routed, RolledBack]
    again = machine.fail_route(change.state, change.state.epoch, "no probe", ("f-2",), 0)
    assert again.ignored == "there is no champion before the one that failed"


def test_a_first_champion_whose_route_fails_leaves_the_loop_without() -> None:
    change = machine.fail_route(with_champion(), 1, "no probe", ("f-1",), 0)
    assert kinds(change) == [Entered, RolledBack]
    assert (change.state.champion, change.state.epoch) == (None, 2)
    again = machine.judge_offline(change.state, candidate(2), offline(2), policy())
    assert routes(again) == [(3, "r-2", "", 0.0)]


def test_a_failed_route_that_is_old_or_only_fell_back_changes_nothing() -> None:
    assert machine.fail_route(in_canary(), 2, "no probe", (), 0).ignored
    rejected = machine.judge_stage(in_shadow(), in_stage(2, "shadow", 0, WORSE, 4 * DAY_MS), policy()).state
    assert machine.fail_route(rejected, rejected.epoch, "no probe", (), 0).ignored


def test_while_paused_better_asks_worse_ends_and_candidates_are_turned_away() -> None:
    paused = machine.set_paused(in_shadow(), True).state
    asked = machine.judge_stage(paused, in_stage(2, "shadow", 0, BETTER, 4 * DAY_MS), policy())
    assert kinds(asked) == [ApprovalRequested]
    resumed = machine.set_paused(asked.state, False).state
    on = machine.judge_stage(resumed, in_stage(2, "shadow", 0, BETTER, 5 * DAY_MS), policy())
    assert routes(on) == [(3, "r-1", "r-2", 0.1)]
    ended = machine.judge_stage(paused, in_stage(2, "shadow", 0, WORSE, 4 * DAY_MS), policy())
    assert kinds(ended) == [Entered, Routed, Rejected]
    alone = replace(with_champion(), paused=True)
    assert kinds(machine.judge_offline(alone, candidate(2), offline(2), policy())) == [Rejected]


def test_a_policy_that_became_shorter_promotes_from_its_last_step() -> None:
    change = machine.judge_stage(in_canary(), in_stage(2, "canary", 1, BETTER, 9 * DAY_MS), policy(SHADOW))
    assert kinds(change)[-1] is Promoted


def test_event_time_never_goes_back() -> None:
    change = machine.judge_offline(replace(with_champion(), time_ms=50), candidate(2), offline(2, time_ms=10), policy())
    assert change.state.time_ms == 50
    assert change.state.open is not None
    assert change.state.open.entered_ms == 50
