from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftloop.loop.definition import TrainingDefinition
from services.training.domain import controller
from services.training.domain.controller import Window
from services.training.domain.state import Answer, Coalesced, Reason, Requested, RetrainState, parse_state
from tests.unit.training.policies import DAY_MS, policy


class Loop:
    """Calls the controller for one loop; windows are days."""

    def __init__(self, policy: TrainingDefinition) -> None:
        self.policy = policy
        self.state = RetrainState("shop")
        self.answers: list[Answer] = []

    def day(self, end: int, champion: str = "") -> tuple[Answer, ...]:
        window = Window(f"window-{end}", (end - 1) * DAY_MS, end * DAY_MS, champion)
        return self.apply(controller.close_window(self.state, self.policy, window))

    def drift(self, name: str, day: float, release: str = "") -> tuple[Answer, ...]:
        reason = Reason("drift", name, int(day * DAY_MS), "calibration", f"chain-{name}", release, ("w1", "w2"))
        return self.apply(controller.add_reason(self.state, self.policy, reason))

    def command(self, name: str, day: float) -> tuple[Answer, ...]:
        reason = Reason("command", name, int(day * DAY_MS), "ann: try", f"chain-{name}")
        return self.apply(controller.add_reason(self.state, self.policy, reason))

    def promote(self, day: int) -> str:
        assert self.state.chain is not None
        release = self.state.chain.release_id
        self.state = controller.open_release(self.state, self.state.chain.request_id)
        self.state = controller.promote_champion(self.state, release, day * DAY_MS)
        return release

    def reject(self, day: int, cause: str = "worse") -> None:
        assert self.state.chain is not None
        self.state = controller.reject_release(self.state, self.state.chain.release_id, cause, day * DAY_MS)

    def fail(self, day: int) -> None:
        assert self.state.chain is not None
        self.state = controller.fail_run(self.state, self.state.chain.request_id, day * DAY_MS)

    def apply(self, step: controller.StateAndAnswers) -> tuple[Answer, ...]:
        self.state, answers = step
        self.answers += answers
        return answers


def with_champion(**changes: Any) -> Loop:
    loop = Loop(policy(**changes))
    for day in (1, 2, 3):
        loop.day(day)
    loop.promote(3)
    return loop


def only_request(answers: tuple[Answer, ...]) -> Requested:
    (request,) = answers
    assert isinstance(request, Requested)
    return request


def only_coalesced(answers: tuple[Answer, ...]) -> Coalesced:
    (coalesced,) = answers
    assert isinstance(coalesced, Coalesced)
    return coalesced


def test_the_first_champion_is_requested_when_the_loop_is_old_enough() -> None:
    loop = Loop(policy())
    assert loop.day(1) == loop.day(2) == ()
    request = only_request(loop.day(3))
    assert [reason.kind for reason in request.reasons] == ["first-champion"]
    assert (request.window_start_ms, request.window_end_ms) == (-1 * DAY_MS, 3 * DAY_MS)
    assert request.seed == 100
    assert request.evidence == ("window-3",)
    assert loop.day(4) == ()


def test_a_failed_first_champion_is_retried_after_the_next_window_despite_a_cooldown() -> None:
    loop = Loop(policy(cooldown="5d"))
    for day in (1, 2, 3):
        loop.day(day)
    loop.fail(3)
    request = only_request(loop.day(4))
    assert request.seed == 101
    assert request.window_end_ms == 4 * DAY_MS


def test_a_first_champion_with_too_few_rows_waits_for_the_cooldown_and_opens_no_breaker() -> None:
    loop = Loop(policy(cooldown="2d"))
    days = []
    for day in range(1, 20):
        if any(isinstance(answer, Requested) for answer in loop.day(day)):
            days.append(day)
            loop.reject(day, "unclear")
    assert days == [3, 5, 7, 9, 11, 13, 15, 17, 19]
    assert loop.state.consecutive_failures == 0


def test_a_failure_after_an_undecided_first_champion_is_retried_at_once() -> None:
    loop = Loop(policy(cooldown="2d"))
    for day in range(1, 6):
        loop.day(day)
        if loop.state.chain:
            loop.reject(day, "unclear" if day == 3 else "refused")
    assert isinstance(loop.day(6)[0], Requested)


def test_a_state_of_an_earlier_version_is_read() -> None:
    data = json.loads(RetrainState("orders", ended_ms=DAY_MS).to_json())
    del data["undecided"]
    assert parse_state(json.dumps(data)) == RetrainState("orders", ended_ms=DAY_MS)


def test_the_breaker_ends_retries_until_a_command_and_is_reported_once() -> None:
    loop = Loop(policy())
    for day in range(1, 6):
        loop.day(day)
        if loop.state.chain:
            loop.reject(day)
    assert loop.state.consecutive_failures == 3
    assert only_coalesced(loop.day(6)).because == "breaker"
    assert loop.day(7) == ()
    request = only_request(loop.command("c", 7))
    assert [reason.kind for reason in request.reasons] == ["first-champion", "command"]
    assert request.window_end_ms - request.window_start_ms == 6 * DAY_MS
    loop.promote(7)
    assert loop.state.consecutive_failures == 0


@pytest.mark.parametrize("cause", ["unclear", "not-approved", "busy"])
def test_the_breaker_does_not_count_what_is_no_failure_of_the_trainer(cause: str) -> None:
    loop = with_champion()
    for day in range(5, 15):
        assert isinstance(loop.drift(f"a{day}", day)[0], Requested)
        loop.reject(day, cause)
    assert loop.state.consecutive_failures == 0


@pytest.mark.parametrize("cause", ["refused", "worse", "command", "route-failed", ""])
def test_the_breaker_counts_failures_around_an_unclear_gain(cause: str) -> None:
    loop = with_champion()
    for day, end in enumerate([cause, "unclear", cause, cause], start=5):
        request = only_request(loop.drift(f"a{day}", day))
        loop.reject(day, end)
    assert (request.failures, request.breaker) == (2, 3)
    assert only_coalesced(loop.drift("b", 10)).because == "breaker"


def test_unclear_gains_without_end_wait_for_the_cooldown_each_time() -> None:
    loop = with_champion(cooldown="2d")
    days = []
    for day in range(5, 20):
        if any(isinstance(answer, Requested) for answer in (*loop.day(day), *loop.drift(f"a{day}", day))):
            days.append(day)
            loop.reject(day, "unclear")
    assert min(after - before for before, after in itertools.pairwise(days)) >= 2


def test_drift_requests_a_run_at_once_in_the_alarms_chain() -> None:
    loop = with_champion()
    request = only_request(loop.drift("alarm", 9, loop.state.champion))
    assert request.correlation_id == "chain-alarm"
    assert request.evidence == ("alarm", "w1", "w2")
    assert request.window_end_ms - request.window_start_ms == 8 * DAY_MS


@pytest.mark.parametrize(("trained", "because"), [(False, "run-open"), (True, "release-open")])
def test_reasons_during_an_open_chain_make_one_request_later(trained: bool, because: str) -> None:
    loop = with_champion()
    open_chain = only_request(loop.drift("a", 5)).chain
    if trained:
        loop.state = controller.open_release(loop.state, open_chain.request_id)
    kept = [only_coalesced(loop.drift("b", 6)), only_coalesced(loop.command("c", 6))]
    assert {answer.because for answer in kept} == {because}
    assert {answer.blocked_by for answer in kept} == {open_chain.release_id if trained else open_chain.request_id}
    assert loop.day(6) == ()
    loop.reject(6)
    request = only_request(loop.day(7))
    assert [reason.event_id for reason in request.reasons] == ["b", "c"]
    assert request.correlation_id == "chain-b"
    assert request.window_end_ms - request.window_start_ms == 6 * DAY_MS
    assert request.seed == 102


def test_a_kept_alarm_about_a_former_champion_is_dropped_and_reported() -> None:
    loop = with_champion()
    first = loop.state.champion
    loop.drift("a", 5, first)
    loop.drift("b", 6, first)
    second = loop.promote(7)
    dropped = only_coalesced(loop.day(8))
    assert (dropped.reason.event_id, dropped.because, dropped.blocked_by) == ("b", "superseded", second)
    assert loop.state.kept == ()


def test_an_alarm_about_a_former_champion_is_answered_but_never_kept() -> None:
    loop = with_champion()
    first = loop.state.champion
    loop.drift("a", 5, first)
    loop.promote(6)
    assert only_coalesced(loop.drift("late", 7, first)).because == "superseded"
    assert loop.day(8) == ()


def test_an_alarm_about_a_restored_champion_counts() -> None:
    loop = with_champion()
    first = loop.state.champion
    loop.drift("a", 5, first)
    second = loop.promote(6)
    loop.state = controller.roll_back_release(loop.state, second, first, "command", 7 * DAY_MS)
    assert loop.state.champion == first
    assert isinstance(loop.drift("b", 8, first)[0], Requested)


def test_a_rollback_that_arrives_before_its_promotion_restores_the_champion() -> None:
    loop = with_champion()
    first = loop.state.champion
    loop.drift("a", 5, first)
    assert loop.state.chain is not None
    second = loop.state.chain.release_id
    steps: list[Callable[[RetrainState], RetrainState]] = [
        lambda s: controller.enter_stage(s, second, "champion", second, 5),
        lambda s: controller.enter_stage(s, first, "retired", second, 5),
        lambda s: controller.enter_stage(s, second, "rolled-back", first, 6),
        lambda s: controller.enter_stage(s, first, "champion", first, 6),
    ]
    ends: list[Callable[[RetrainState], RetrainState]] = [
        lambda s: controller.promote_champion(s, second, 6 * DAY_MS, 5),
        lambda s: controller.roll_back_release(s, second, first, "route-failed", 7 * DAY_MS, "champion"),
    ]
    for order in ([*steps, *ends], [*reversed(ends), *steps], [ends[1], *steps, ends[0]], [*ends, *steps]):
        state = loop.state
        for step in order:
            state = step(state)
        assert (state.champion, state.chain, state.consecutive_failures) == (first, None, 0)
        assert second in state.former
        assert first not in state.former


def test_the_later_of_a_pause_and_a_resume_counts_in_either_order() -> None:
    state = RetrainState("orders")
    resumed = controller.set_paused(state, False, 2)
    assert not controller.set_paused(resumed, True, 1).paused
    assert not controller.set_paused(controller.set_paused(state, True, 1), False, 2).paused
    assert controller.set_paused(resumed, True, 3).paused


def test_of_a_pause_and_a_resume_in_one_millisecond_the_pause_counts_in_either_order() -> None:
    state = RetrainState("orders")
    assert controller.set_paused(controller.set_paused(state, True, 2), False, 2).paused
    assert controller.set_paused(controller.set_paused(state, False, 2), True, 2).paused


def test_the_schedule_counts_from_the_first_window_and_needs_a_champion() -> None:
    loop = Loop(policy(schedule={"every": "2d"}))
    for day in (1, 2, 3):
        loop.day(day)
    loop.promote(3)
    request = only_request(loop.day(4))
    assert [(reason.kind, reason.event_id) for reason in request.reasons] == [("schedule", "window-4")]
    assert request.correlation_id == ""
    assert request.window_end_ms - request.window_start_ms == 2 * DAY_MS
    assert loop.day(5) == ()
    assert only_coalesced(loop.day(6)).because == "run-open"


def test_a_cooldown_keeps_reasons_until_it_is_over() -> None:
    loop = with_champion(cooldown="2d")
    assert only_coalesced(loop.drift("a", 4)).because == "cooldown"
    assert loop.day(4) == ()
    assert [reason.event_id for reason in only_request(loop.day(5)).reasons] == ["a"]


def test_a_pause_keeps_commands_until_the_next_window_end() -> None:
    loop = with_champion()
    loop.state = controller.set_paused(loop.state, True, 0)
    assert only_coalesced(loop.command("c", 4)).because == "paused"
    assert loop.day(4) == ()
    loop.state = controller.set_paused(loop.state, False, 1)
    assert only_request(loop.day(5)).window_end_ms == 5 * DAY_MS


def test_the_window_of_a_command_ends_with_the_newest_window() -> None:
    loop = with_champion()
    assert only_request(loop.command("c", 4000)).window_end_ms == 3 * DAY_MS


def test_a_command_before_any_window_waits_for_one() -> None:
    loop = Loop(policy())
    assert only_coalesced(loop.command("c", 4000)).because == "no-window"
    assert only_request(loop.day(1)).window_end_ms == DAY_MS


def test_a_new_reason_is_requested_together_with_kept_ones() -> None:
    loop = with_champion(cooldown="2d")
    loop.drift("a", 4)
    request = only_request(loop.drift("b", 5.5))
    assert [reason.event_id for reason in request.reasons] == ["a", "b"]


def test_events_about_other_releases_and_requests_have_no_effect() -> None:
    loop = with_champion()
    loop.drift("a", 5)
    before = loop.state
    state = controller.fail_run(before, "another", 0)
    state = controller.open_release(state, "another")
    state = controller.reject_release(state, "another", "worse", 0)
    state = controller.enter_stage(state, "another", "shadow")
    assert controller.roll_back_release(state, "another", "", "worse", 0) == before


Action = tuple[str, int]
actions = st.lists(
    st.tuples(
        st.sampled_from(
            ["day", "drift", "old-drift", "command", "pause", "resume", "train", "fail", "promote", "reject", "back"]
        ),
        st.integers(0, 3),
    ),
    max_size=60,
)
policies = st.builds(
    lambda schedule, cooldown: policy(
        schedule={"every": f"{schedule}d"} if schedule else None, cooldown=f"{cooldown}d"
    ),
    st.integers(0, 4),
    st.integers(0, 3),
)


def play(policy: TrainingDefinition, script: list[Action], times: int) -> tuple[Loop, list[str]]:
    """Deliver each event of a script a number of times; return the loop and the ids of external reasons."""
    loop, day = Loop(policy), 0
    given_reasons: list[str] = []
    for number, (action, _) in enumerate(script):
        day += action == "day"
        chain = loop.state.chain
        for _ in range(times):
            open_before = loop.state.chain
            answers = deliver(
                loop, action, number, day, chain.request_id if chain else "", chain.release_id if chain else ""
            )
            requests = [answer for answer in answers if isinstance(answer, Requested)]
            assert len(requests) <= 1
            assert not (requests and open_before is not None)
        if action in ("drift", "old-drift", "command"):
            given_reasons.append(str(number))
        assert parse_state(loop.state.to_json()) == loop.state
    return loop, given_reasons


def deliver(loop: Loop, action: str, number: int, day: int, request: str, release: str) -> tuple[Answer, ...]:
    former = loop.state.former[0] if loop.state.former else "r-none"
    reasons = {
        "day": lambda: loop.day(day),
        "drift": lambda: loop.drift(str(number), day, loop.state.champion),
        "old-drift": lambda: loop.drift(str(number), day, former),
        "command": lambda: loop.command(str(number), day),
    }
    if action in reasons:
        return reasons[action]()
    loop.state = changed(loop.state, action, request, release or "r-none", day * DAY_MS)
    return ()


def changed(state: RetrainState, action: str, request: str, release: str, at_ms: int) -> RetrainState:
    changes: dict[str, Callable[[], RetrainState]] = {
        "pause": lambda: controller.set_paused(state, True, at_ms),
        "resume": lambda: controller.set_paused(state, False, at_ms),
        "train": lambda: controller.open_release(state, request),
        "fail": lambda: controller.fail_run(state, request, at_ms),
        "promote": lambda: controller.promote_champion(state, release, at_ms),
        "reject": lambda: controller.reject_release(state, release, "worse", at_ms),
        "back": lambda: controller.roll_back_release(state, release, "", "worse", at_ms),
    }
    return changes[action]()


@settings(max_examples=150, deadline=None)
@given(policies, actions)
def test_at_most_one_request_is_open_and_every_reason_is_answered(
    rules: TrainingDefinition, script: list[Action]
) -> None:
    loop, given_reasons = play(rules, script, times=1)
    named = [r.event_id for o in loop.answers for r in (o.reasons if isinstance(o, Requested) else (o.reason,))]
    assert set(given_reasons) <= set(named)
    requested = [r.event_id for o in loop.answers if isinstance(o, Requested) for r in o.reasons]
    assert len(requested) == len(set(requested))
    ids = [o.chain.request_id for o in loop.answers if isinstance(o, Requested)]
    assert len(ids) == len(set(ids))


@settings(max_examples=150, deadline=None)
@given(policies, actions)
def test_repeated_events_have_no_effect(rules: TrainingDefinition, script: list[Action]) -> None:
    once, _ = play(rules, script, times=1)
    twice, _ = play(rules, script, times=2)
    assert twice.answers == once.answers
    assert twice.state == once.state


@settings(max_examples=100, deadline=None)
@given(policies, actions)
def test_every_kept_reason_is_answered_later(rules: TrainingDefinition, script: list[Action]) -> None:
    loop, _ = play(rules, script, times=1)
    if loop.state.chain is not None:
        loop.reject(1000)
    resumed = controller.set_paused(loop.state, False, loop.state.paused_wall_ms + 1)
    loop.state = replace(resumed, consecutive_failures=0)
    kept = {reason.event_id for reason in loop.state.kept}
    answers = loop.day(1010)
    answered = {r.event_id for o in answers for r in (o.reasons if isinstance(o, Requested) else (o.reason,))}
    assert kept <= answered
    assert loop.state.kept == ()


def import_model(loop: Loop, name: str, day: float) -> tuple[Answer, ...]:
    reason = Reason("import", name, int(day * DAY_MS), "ann: ours (model.onnx)", f"chain-{name}", model="00")
    return loop.apply(controller.add_reason(loop.state, loop.policy, reason))


def untrained(**changes: Any) -> Loop:
    return Loop(policy(trainer=None, **changes))


def test_an_import_makes_its_own_request_with_its_model() -> None:
    loop = Loop(policy())
    loop.day(1)
    [requested] = import_model(loop, "a", 1.5)
    assert isinstance(requested, Requested)
    assert (requested.model, requested.correlation_id) == ("00", "chain-a")
    assert (requested.window_start_ms, requested.window_end_ms) == (-5 * DAY_MS, DAY_MS)
    release = loop.promote(1)
    assert loop.state.champion == release
    assert loop.day(4) == ()  # the import made the first champion, so none is trained


def test_an_import_before_the_first_window_waits_for_it() -> None:
    loop = Loop(policy())
    [kept] = import_model(loop, "a", 0.5)
    assert isinstance(kept, Coalesced)
    assert kept.because == "no-window"
    [requested] = loop.day(1)
    assert isinstance(requested, Requested)
    assert [reason.event_id for reason in requested.reasons] == ["a"]


def test_other_reasons_wait_until_an_import_has_ended() -> None:
    loop = with_champion()
    import_model(loop, "a", 5)
    [kept] = loop.command("b", 5)
    assert isinstance(kept, Coalesced)
    assert kept.because == "run-open"
    [second] = import_model(loop, "c", 5)
    assert isinstance(second, Coalesced)
    loop.reject(6)
    [requested] = loop.day(7)
    assert isinstance(requested, Requested)
    assert [reason.event_id for reason in requested.reasons] == ["c"]
    loop.reject(7)
    [requested] = loop.day(8)
    assert isinstance(requested, Requested)
    assert [reason.event_id for reason in requested.reasons] == ["b"]


def test_the_breaker_neither_counts_nor_stops_imports() -> None:
    loop = with_champion(breaker=1)
    for day in range(5, 8):
        assert isinstance(import_model(loop, f"import-{day}", day)[0], Requested)
        loop.reject(day)
        loop.day(day)
    assert loop.state.consecutive_failures == 0
    assert isinstance(loop.drift("d", 8)[0], Requested)
    loop.reject(8)
    assert [answer.because for answer in loop.drift("e", 8) if isinstance(answer, Coalesced)] == ["breaker"]
    assert isinstance(import_model(loop, "f", 8)[0], Requested)


def test_without_a_trainer_only_imports_are_requested() -> None:
    loop = untrained()
    [first] = loop.day(1)
    assert isinstance(first, Coalesced)
    assert (first.reason.kind, first.because) == ("first-champion", "no-trainer")
    assert loop.day(2) == ()
    assert isinstance(import_model(loop, "a", 2)[0], Requested)
    release = loop.promote(2)
    assert [answer.because for answer in loop.day(3) if isinstance(answer, Coalesced)] == ["superseded"]
    for answers in (loop.drift("d", 4, release), loop.command("c", 4)):
        assert [answer.because for answer in answers if isinstance(answer, Coalesced)] == ["no-trainer"]
    assert isinstance(import_model(loop, "b", 4)[0], Requested)
    assert parse_state(loop.state.to_json()) == loop.state


def test_reasons_kept_without_a_trainer_make_a_request_when_there_is_one() -> None:
    loop = untrained()
    loop.day(1)
    loop.policy = policy()
    [requested] = loop.day(2)
    assert isinstance(requested, Requested)
    assert [reason.kind for reason in requested.reasons] == ["first-champion"]


def test_a_schedule_needs_a_trainer() -> None:
    with pytest.raises(ValueError, match=r"training\.trainer is null, so nothing can be scheduled"):
        policy(trainer=None, schedule={"every": "7d"})
