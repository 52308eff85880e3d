from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from driftloop.contracts import control_pb2 as control
from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import serving_pb2 as serving
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Draft
from driftloop.events.release_end import is_failure
from driftloop.process.errors import InvalidEvent, OtherLoop
from driftloop.runner.handler import Transaction
from driftloop.runner.tables import open_database
from services.registry import metrics
from services.registry.adapters.sql import SqlLedger, metadata
from services.registry.handlers import Registry, rollout_policy, set_gauges, table
from tests.unit.evaluation.definitions import DAY_MS, STEPS, loop_definition
from tests.unit.evaluation.events import envelope


class Service:
    """The handlers over SQLite. ``gone``: what releases read and the definitions no longer have."""

    def __init__(self, folder: Path, steps: list[dict[str, Any]] | None = None) -> None:
        self.engine = open_database(f"sqlite:///{folder / 'registry.db'}", metadata)
        self.gone: dict[str, str] = {}
        policies = {"orders": rollout_policy(loop_definition(steps=steps))}
        self.table = table(Registry(policies, SqlLedger, lambda _, release: self.gone.get(release.release_id, "")))
        self.count = 0

    def handle(
        self, data: Message, day: int = 0, chain: str = "chain of a command", wall_ms: int = 0
    ) -> Sequence[Draft]:
        self.count += 1
        with self.engine.begin() as connection:
            event = envelope(f"{type(data).__name__}-{self.count}", data, day * DAY_MS, chain)
            event = replace(event, wall_time_ms=wall_ms)
            return self.table[type(data)](event, Transaction(connection))


def offline(number: int, outcome: evaluation.Outcome = evaluation.BETTER) -> evaluation.VerdictReached:
    return evaluation.VerdictReached(
        loop="orders",
        stage="offline",
        release_id=f"r-{number}",
        run_id=f"run-{number}",
        request_id=f"request-{number}",
        bundle=training.Bundle(uri=f"/b/{number}", digest=f"digest-{number}"),
        outcome=outcome,
        reasons=["gain over the base rate", "no champion"],
    )


def in_stage(number: int, stage: str, outcome: evaluation.Outcome, step: int = 0) -> evaluation.VerdictReached:
    return evaluation.VerdictReached(
        loop="orders",
        stage=stage,
        release_id=f"r-{number}",
        outcome=outcome,
        evidence_ids=["w-1", "w-2"],
        step=step,
        reasons=["as measured"],
    )


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    opened = Service(tmp_path)
    yield opened
    opened.engine.dispose()


@pytest.fixture
def shadowing(service: Service) -> Service:
    service.handle(offline(1), 1, "chain 1")
    service.handle(offline(2), 2, "chain 2")
    return service


def kinds(drafts: Sequence[Draft]) -> list[str]:
    return [type(draft.data).__name__ for draft in drafts]


def only(drafts: Sequence[Draft], kind: type[Any]) -> Any:
    (data,) = [draft.data for draft in drafts if isinstance(draft.data, kind)]
    return data


def test_the_first_champion_is_promoted_with_all_events(service: Service) -> None:
    drafts = service.handle(offline(1), 5, "chain 1")
    assert kinds(drafts) == ["ReleaseCreated", "StageEntered", "RouteChanged", "ChampionPromoted"]
    assert {draft.chain for draft in drafts} == {"chain 1"}
    assert {draft.time_ms for draft in drafts} == {5 * DAY_MS}
    created, promoted = only(drafts, registry.ReleaseCreated), only(drafts, registry.ChampionPromoted)
    assert (created.release.bundle.digest, created.run_id, created.request_id) == ("digest-1", "run-1", "request-1")
    assert list(promoted.evidence_ids) == ["VerdictReached-1"]
    route = only(drafts, registry.RouteChanged)
    assert (route.epoch, route.champion.release_id, route.HasField("challenger")) == (1, "r-1", False)


def test_a_promotion_retires_the_champion_and_lists_the_evidence(shadowing: Service) -> None:
    shadowing.handle(in_stage(2, "shadow", evaluation.BETTER), 6)
    drafts = shadowing.handle(in_stage(2, "canary", evaluation.BETTER, step=1), 9, "chain of a window")
    assert kinds(drafts) == ["StageEntered", "StageEntered", "RouteChanged", "ChampionPromoted"]
    assert {draft.chain for draft in drafts} == {"chain 2"}
    stages = [draft.data for draft in drafts if isinstance(draft.data, registry.StageEntered)]
    assert [(stage.release_id, stage.from_stage, stage.stage) for stage in stages] == [
        ("r-2", "canary", "champion"),
        ("r-1", "champion", "retired"),
    ]
    promoted = only(drafts, registry.ChampionPromoted)
    assert (promoted.previous_release_id, promoted.epoch) == ("r-1", 4)
    assert list(promoted.evidence_ids) == ["VerdictReached-4", "w-1", "w-2"]


def test_a_canary_route_has_its_share(shadowing: Service) -> None:
    drafts = shadowing.handle(in_stage(2, "shadow", evaluation.BETTER), 6)
    route = only(drafts, registry.RouteChanged)
    assert (route.stage, route.challenger.release_id, route.challenger_share) == ("canary", "r-2", 0.1)
    entered = only(drafts, registry.StageEntered)
    assert (entered.step, entered.share, entered.champion_release_id) == (1, 0.1, "r-1")


def promote(service: Service, number: int, day: int) -> Sequence[Draft]:
    service.handle(offline(number), day)
    service.handle(in_stage(number, "shadow", evaluation.BETTER), day + 1)
    return service.handle(in_stage(number, "canary", evaluation.BETTER, step=1), day + 5)


def test_a_route_names_the_champion_that_a_rollback_restores(service: Service) -> None:
    first = only(service.handle(offline(1), 1), registry.RouteChanged)
    assert not first.HasField("rollback_to")
    second = only(promote(service, 2, 2), registry.RouteChanged)
    assert (second.rollback_to.release_id, second.rollback_to.bundle.digest) == ("r-1", "digest-1")
    third = only(promote(service, 3, 10), registry.RouteChanged)
    assert third.rollback_to.release_id == "r-2"
    back = only(service.handle(control.Rollback(loop="orders", who="ann"), 20), registry.RouteChanged)
    assert (back.champion.release_id, back.rollback_to.release_id) == ("r-2", "r-1")


def test_a_rollback_to_a_champion_that_reads_what_is_gone_is_refused(service: Service) -> None:
    service.handle(offline(1), 1)
    promote(service, 2, 2)
    service.gone["r-1"] = "r-1 reads orders_shop_returns__count_86400s, which the definitions no longer have"
    [ignored] = service.handle(control.Rollback(loop="orders", who="ann"), 10)
    assert isinstance(ignored.data, registry.CommandIgnored)
    assert ignored.data.reason == f"a rollback is not possible: {service.gone['r-1']}"
    assert service.handle(serving.RouteFailed(loop="orders", epoch=4, release_id="r-2", reason="not loaded"), 11) == []
    third = only(service.handle(offline(3), 12), registry.RouteChanged)
    assert third.champion.release_id == "r-2"
    assert not third.HasField("rollback_to"), "what it reads may stay away"
    back = service.handle(control.Rollback(loop="orders", who="ann"), 13)
    assert only(back, registry.ReleaseRolledBack).release_id == "r-3", "an open release is rolled back all the same"


def test_an_offline_rejection_is_one_event(shadowing: Service) -> None:
    drafts = shadowing.handle(offline(3, evaluation.WORSE), 7)
    assert kinds(drafts) == ["ReleaseRejected"]
    rejected = only(drafts, registry.ReleaseRejected)
    assert (rejected.stage, rejected.reason) == ("offline", "gain over the base rate; no champion")


def test_a_candidate_with_too_few_rows_held_out_ends_without_a_failure(service: Service) -> None:
    refused = only(service.handle(offline(1, evaluation.WORSE), 1), registry.ReleaseRejected)
    unclear = only(service.handle(offline(2, evaluation.NOT_KNOWN_YET), 2), registry.ReleaseRejected)
    assert [is_failure(rejected.cause) for rejected in (refused, unclear)] == [True, False]


def test_a_repeated_candidate_is_a_no_op(shadowing: Service) -> None:
    assert shadowing.handle(offline(1), 7) == []
    assert shadowing.handle(offline(2), 7) == []


def test_a_verdict_after_the_end_of_its_release_is_a_no_op(shadowing: Service) -> None:
    assert kinds(shadowing.handle(in_stage(2, "shadow", evaluation.WORSE), 6))[-1] == "ReleaseRejected"
    assert shadowing.handle(in_stage(2, "shadow", evaluation.BETTER), 7) == []


def test_the_same_verdicts_give_the_same_ids(tmp_path: Path) -> None:
    runs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        service = Service(tmp_path / name)
        drafts = [*service.handle(offline(1), 1), *service.handle(offline(2), 2)]
        drafts += service.handle(in_stage(2, "shadow", evaluation.BETTER), 6)
        runs.append([draft.id for draft in drafts])
        service.engine.dispose()
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == len(runs[0])


def test_user_commands(tmp_path: Path) -> None:
    service = Service(tmp_path, [{**STEPS[0], "approval": True}])
    service.handle(offline(1), 1)
    service.handle(offline(2), 2, "chain 2")
    requested = service.handle(in_stage(2, "shadow", evaluation.BETTER), 6)
    assert kinds(requested) == ["ApprovalRequested"]
    approved = service.handle(control.Approve(loop="orders", release_id="r-2", who="ann", why="looks right"), 7)
    assert kinds(approved)[-1] == "ChampionPromoted"
    assert {draft.chain for draft in approved} == {"chain 2"}
    assert only(approved[:1], registry.StageEntered).reason == "approved by ann: looks right"
    back = service.handle(control.Rollback(loop="orders", who="bob", why="no"), 8)
    assert kinds(back) == ["StageEntered", "StageEntered", "RouteChanged", "ReleaseRolledBack"]
    assert only(back, registry.RouteChanged).champion.release_id == "r-1"
    assert service.handle(control.Pause(loop="orders", who="ann"), 9) == []
    refused = service.handle(offline(3), 10)
    assert only(refused, registry.ReleaseRejected).reason == "the loop is paused"
    assert service.handle(control.Resume(loop="orders", who="ann"), 11, wall_ms=1) == []
    assert kinds(service.handle(offline(4), 12))[0] == "ReleaseCreated"
    rejected = service.handle(control.Reject(loop="orders", release_id="r-4", who="ann"), 13)
    assert only(rejected, registry.ReleaseRejected).reason == "rejected by ann"
    service.engine.dispose()


def test_of_a_pause_and_a_resume_in_one_millisecond_the_pause_counts_in_either_order(service: Service) -> None:
    resume, pause = control.Resume(loop="orders", who="ann"), control.Pause(loop="orders", who="bob")
    service.handle(offline(1), 1)
    assert service.handle(pause, 2, wall_ms=10) == []
    assert kinds(service.handle(resume, 2, wall_ms=10)) == ["CommandIgnored"]
    assert service.handle(resume, 2, wall_ms=20) == []
    assert service.handle(pause, 2, wall_ms=20) == []
    assert only(service.handle(offline(2), 3), registry.ReleaseRejected).reason == "the loop is paused"


def test_the_later_of_a_pause_and_a_resume_counts_in_either_order(service: Service) -> None:
    service.handle(offline(1), 1)
    assert kinds(service.handle(control.Resume(loop="orders", who="ann"), 2, wall_ms=20)) == ["CommandIgnored"]
    ignored = service.handle(control.Pause(loop="orders", who="ann"), 2, wall_ms=10)
    assert only(ignored, registry.CommandIgnored).reason == "a later command has resumed the loop"
    assert kinds(service.handle(offline(2), 3))[0] == "ReleaseCreated"
    assert service.handle(control.Pause(loop="orders", who="ann"), 4, wall_ms=30) == []


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (control.Rollback(loop="orders", who="ann"), "there is no champion to go back to"),
        (control.Approve(loop="orders", release_id="r-9", who="ann"), "r-9 does not wait for an approval"),
        (control.Reject(loop="orders", release_id="r-1", who="ann"), "r-1 is not open"),
        (control.Resume(loop="orders", who="ann"), "the loop is already running"),
    ],
)
def test_a_command_without_effect_is_answered_with_a_reason(tmp_path: Path, command: Any, reason: str) -> None:
    service = Service(tmp_path)
    service.handle(offline(1), 1)
    [draft] = service.handle(command, 2)
    ignored = only([draft], registry.CommandIgnored)
    assert (ignored.reason, ignored.command) == (reason, type(command).DESCRIPTOR.name.lower())
    assert ignored.command_id
    service.engine.dispose()


def test_the_gauge_shows_a_release_that_waits_for_an_approval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values: list[float] = []

    class FakeGauge:
        def set(self, value: float, *, loop: str) -> None:
            assert loop == "orders"
            values.append(value)

    monkeypatch.setattr(metrics, "APPROVALS_WAITING", FakeGauge())
    service = Service(tmp_path, [{**STEPS[0], "approval": True}])
    service.handle(offline(1), 1)
    service.handle(offline(2), 2)
    assert values == [0, 0]
    service.handle(in_stage(2, "shadow", evaluation.BETTER), 6)
    with service.engine.begin() as connection:
        set_gauges(SqlLedger(connection).load("orders"))  # as at a start
    assert values[2:] == [1, 1]
    service.handle(control.Approve(loop="orders", release_id="r-2", who="ann"), 7)
    assert values[4:] == [0]
    service.engine.dispose()


def test_a_failed_route_publishes_the_previous_route_under_a_new_epoch(shadowing: Service) -> None:
    shadowing.handle(in_stage(2, "shadow", evaluation.BETTER), 6)
    failed = serving.RouteFailed(loop="orders", epoch=3, release_id="r-2", reason="no probe")
    drafts = shadowing.handle(failed, 6)
    assert kinds(drafts) == ["StageEntered", "RouteChanged", "ReleaseRolledBack"]
    assert only(drafts, registry.RouteChanged).epoch == 4
    assert "no probe" in only(drafts, registry.ReleaseRolledBack).reason
    assert shadowing.handle(failed, 6) == []


def test_a_converged_route_has_no_events(shadowing: Service) -> None:
    assert shadowing.handle(serving.RouteConverged(loop="orders", epoch=2)) == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (evaluation.VerdictReached(loop="No Body", outcome=evaluation.BETTER), "malformed-loop"),
        (evaluation.VerdictReached(loop="orders", stage="offline", outcome=evaluation.BETTER), "missing-field"),
        (evaluation.VerdictReached(loop="orders", stage="shadow"), "missing-field"),
        (control.Rollback(loop=""), "malformed-loop"),
    ],
)
def test_an_invalid_event_is_reported(service: Service, data: Message, reason: str) -> None:
    with pytest.raises(InvalidEvent) as caught:
        service.handle(data)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "data",
    [
        evaluation.VerdictReached(loop="others", stage="shadow", outcome=evaluation.BETTER),
        evaluation.VerdictReached(loop="others", stage="offline", outcome=evaluation.BETTER),
        control.Rollback(loop="others"),
    ],
)
def test_an_event_of_a_loop_that_runs_elsewhere_is_skipped(service: Service, data: Message) -> None:
    with pytest.raises(OtherLoop, match="others"):
        service.handle(data)
