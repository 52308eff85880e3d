from __future__ import annotations

import itertools
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import features_pb2 as features
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import serving_pb2 as serving
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope
from driftloop.readmodel.loop_history import LoopHistory
from driftloop.readmodel.pending_work import PendingWork

LOOP = "orders"
_numbers = itertools.count()


def event(data: Any, identity: str = "", cause: str | None = None, loop: str = LOOP) -> Envelope[Any]:
    data.loop = loop
    name = identity or f"event-{next(_numbers)}"
    return Envelope(name, "/driftloop/x", data.DESCRIPTOR.full_name, loop, 0, 0, "chain", cause, None, data)


def verdict(identity: str, outcome: evaluation.Outcome, *, stage: str = "shadow", limit: bool = False) -> Envelope[Any]:
    data = evaluation.VerdictReached(
        stage=stage, release_id="r-1", outcome=outcome, limit_reached=limit, run_id="run-1"
    )
    return event(data, identity)


CLOSED = event(monitoring.WindowClosed(window_id="w1"), "closed")
DECISIONS = [
    event(monitoring.WindowDecided(window_id="w1", decider=name, opened=opened))
    for name, opened in (("detectors", ["drift"]), ("evaluation", []), ("training", []))
]
DRIFT = event(monitoring.DriftDetected(detector="returns", mode="trigger"), "drift")
WATCHED = event(monitoring.DriftDetected(detector="returns", mode="watch"), "drift")
COALESCED = event(training.ReasonCoalesced(reason=training.Reason(event_id="drift")))
REQUESTED = event(training.RetrainRequested(request_id="q-1", reasons=[training.Reason(event_id="drift")]), "request")
TRAINED = event(training.CandidateTrained(request_id="q-1", run_id="run-1"), "trained")
FAILED = event(training.RunFailed(request_id="q-1", run_id="run-1"))
OFFLINE = verdict("offline", evaluation.BETTER, stage="offline")
CREATED = event(registry.ReleaseCreated(), cause="offline")
NOT_TAKEN = event(registry.ReleaseRejected(release_id="r-1", stage="offline"), cause="offline")
ROUTE = event(registry.RouteChanged(epoch=2))
CONVERGED = event(serving.RouteConverged(epoch=2))


def entered(cause: str, stage: str = "shadow", champion: str = "r-0") -> Envelope[Any]:
    data = registry.StageEntered(release_id="r-1", stage=stage, epoch=2, champion_release_id=champion)
    return event(data, cause=cause)


# Each obligation: what opens it, and every way in which it is answered.
OBLIGATIONS: dict[str, tuple[list[Envelope[Any]], list[list[Envelope[Any]]]]] = {
    "window": ([CLOSED], [[*DECISIONS, WATCHED]]),
    "what a decider opened": ([DECISIONS[0]], [[WATCHED]]),
    "alarm": ([DRIFT], [[COALESCED], [REQUESTED, FAILED]]),
    "run": ([REQUESTED], [[FAILED], [TRAINED, OFFLINE, NOT_TAKEN]]),
    "candidate": ([TRAINED], [[OFFLINE, NOT_TAKEN], [OFFLINE, entered("offline"), CONVERGED]]),
    "offline, not known yet": ([verdict("offline", evaluation.NOT_KNOWN_YET, stage="offline")], [[NOT_TAKEN]]),
    "verdict better": (
        [verdict("v", evaluation.BETTER)],
        [
            [entered("v", "canary"), CONVERGED],
            [event(registry.ApprovalRequested(), cause="v")],
            [event(registry.ReleaseRejected(release_id="r-1", stage="shadow"), cause="a person's command")],
            [event(registry.ReleaseRolledBack(release_id="r-1"), cause="a person's command")],
        ],
    ),
    "verdict worse": ([verdict("v", evaluation.WORSE)], [[entered("v", "rejected"), CONVERGED]]),
    "limit": (
        [verdict("v", evaluation.NOT_KNOWN_YET, limit=True)],
        [[entered("v", "rejected"), event(serving.RouteFailed(epoch=2))]],
    ),
    "stage": ([entered("v")], [[CONVERGED]]),
    "route": (
        [ROUTE],
        [[CONVERGED], [event(serving.RouteFailed(epoch=2))], [event(serving.RouteConverged(epoch=3))]],
    ),
}
WAYS = [
    pytest.param(opened, answers, id=f"{name}-{number}")
    for name, (opened, ways) in OBLIGATIONS.items()
    for number, answers in enumerate(ways)
]


def seen(events: list[Envelope[Any]], loop: str = LOOP) -> PendingWork:
    return LoopHistory(loop, events).pending


@pytest.mark.parametrize("name", OBLIGATIONS)
def test_an_obligation_is_open_until_it_is_answered(name: str) -> None:
    opened, _ = OBLIGATIONS[name]
    assert seen(opened).open()


@pytest.mark.parametrize(("opened", "answers"), WAYS)
def test_every_way_to_answer_closes_it(opened: list[Envelope[Any]], answers: list[Envelope[Any]]) -> None:
    assert seen([*opened, *answers]).open() == []


@pytest.mark.parametrize(("opened", "answers"), WAYS)
def test_answers_may_come_before_the_question(opened: list[Envelope[Any]], answers: list[Envelope[Any]]) -> None:
    for order in itertools.permutations([*opened, *answers]):
        assert seen(list(order)).open() == [], [type(each.data).__name__ for each in order]


@pytest.mark.parametrize(("opened", "answers"), WAYS)
def test_an_answer_that_lacks_one_part_leaves_it_open(
    opened: list[Envelope[Any]], answers: list[Envelope[Any]]
) -> None:
    for left_out in range(len(answers)):
        assert seen([*opened, *answers[:left_out], *answers[left_out + 1 :]]).open()


@pytest.mark.parametrize(("opened", "answers"), WAYS)
def test_events_of_another_loop_neither_open_nor_close(
    opened: list[Envelope[Any]], answers: list[Envelope[Any]]
) -> None:
    assert seen(opened, "parcels").open() == []
    foreign = []
    for each in answers:
        copy = type(each.data)()
        copy.CopyFrom(each.data)
        foreign.append(event(copy, cause=each.causation_id, loop="parcels"))
    assert seen([*opened, *foreign]).open() == seen(opened).open()


@pytest.mark.parametrize(
    "quiet",
    [
        event(monitoring.DriftDetected(detector="lines", mode="watch")),
        verdict("v", evaluation.NOT_KNOWN_YET),
        event(registry.ChampionPromoted(release_id="r-1")),
        entered("v", "rolled-back", champion=""),
        event(features.WatermarkAdvanced(watermark_ms=1)),
    ],
    ids=["an alarm that only watches", "not known yet", "a promotion", "no champion left", "a watermark"],
)
def test_what_asks_for_nothing_opens_nothing(quiet: Envelope[Message]) -> None:
    assert seen([quiet]).open() == []


def test_a_window_waits_only_for_the_deciders_that_there_are() -> None:
    history = LoopHistory(LOOP, [CLOSED], deciders=("evaluation",))
    assert history.pending.open() == ["evaluation has not looked at window w1"]
    history.apply(DECISIONS[1])
    assert history.pending.open() == []


def test_an_older_route_is_past_when_a_newer_one_is_served() -> None:
    history = LoopHistory(LOOP, [event(registry.RouteChanged(epoch=number)) for number in (1, 2, 3)])
    assert len(history.pending.open()) == 3
    history.apply(event(serving.RouteConverged(epoch=2)))
    assert history.pending.open() == ["route of epoch 3 is not served yet"]
    history.apply(event(registry.RouteChanged(epoch=1)))
    assert history.pending.open() == ["route of epoch 3 is not served yet"]


def test_the_end_of_a_release_answers_no_verdict_before_the_stage_that_came_of_it_is_seen() -> None:
    """They stand on two topics: the end may be read first, and the route that it asked for much later."""
    worse, end = verdict("v", evaluation.WORSE), registry.ReleaseRejected(release_id="r-1", stage="shadow")
    for order in itertools.permutations([worse, event(end, cause="v")]):
        history = LoopHistory(LOOP, order)
        assert history.pending.open() == ["shadow verdict on r-1 waits for the registry"]
        history.apply(entered("v", "rejected"))
        assert history.pending.open() == ["route of epoch 2 is not served yet"]
        history.apply(CONVERGED)
        assert history.pending.open() == []


def test_a_repeated_event_changes_nothing() -> None:
    assert seen([CLOSED, *DECISIONS, WATCHED, CLOSED, *DECISIONS]).open() == []
    assert len(seen([DRIFT, DRIFT]).open()) == 1


CHAIN = [CLOSED, *DECISIONS, DRIFT, REQUESTED, TRAINED, OFFLINE, CREATED, entered("offline"), ROUTE, CONVERGED]


@given(st.permutations(CHAIN))
def test_a_whole_chain_comes_to_rest_in_whatever_order_its_topics_are_read(events: list[Envelope[Any]]) -> None:
    assert seen(events).open() == []
