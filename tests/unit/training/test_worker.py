from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine

from driftloop.bus.ports import Record
from driftloop.contracts import training_pb2 as training
from driftloop.contracts.topics import message_class, topic
from driftloop.events.envelope import Envelope, from_record
from driftloop.loop import Loop, load_loop
from driftloop.loop.definition import TrainingDefinition
from driftloop.process.errors import LeaseLost, Retriable
from driftloop.runner import outbox
from driftloop.runner.tables import open_database
from services.training.adapters import sql
from services.training.bootstrap import spec_of
from services.training.config import TrainingSettings
from services.training.domain.state import Chain, RetrainState
from services.training.errors import LaunchRefused
from services.training.ports import Observation
from services.training.spec import Failed, TableVersion
from services.training.worker import Worker
from tests.helpers.clock import FakeClock
from tests.unit.training.fakes import TRAINED, ManualLauncher

ORDERS = Path(__file__).resolve().parents[2] / "loops" / "orders"
REQUEST = training.RetrainRequested(
    loop="orders",
    request_id="request-1",
    reasons=[training.Reason(kind="drift", event_id="alarm")],
    window_start_ms=1000,
    window_end_ms=5000,
    seed=3,
)
EVENT: Envelope[training.RetrainRequested] = Envelope(
    id="requested",
    source="/driftloop/training",
    type="driftloop.training.v1.RetrainRequested",
    loop="orders",
    time_ms=5000,
    wall_time_ms=0,
    correlation_id="chain",
    causation_id="alarm",
    traceparent=None,
    data=REQUEST,
)


@dataclass
class Harness:
    """A worker with its own database and one requested run."""

    engine: Engine
    worker: Worker
    launcher: ManualLauncher
    clock: FakeClock

    def cover(self, part: sql.Part, watermark_ms: int, **versions: int) -> None:
        tables = {name: TableVersion(f"lake/{name}", version) for name, version in versions.items()}
        with self.engine.begin() as connection:
            sql.extend_coverage(connection, "orders", part, sql.Coverage(watermark_ms, tables))

    def start(self) -> None:
        self.cover("lake", 5000, placed=4)
        self.cover("offline", 5000, view=7)
        self.worker.tick()

    def events(self) -> list[Envelope[Any]]:
        events = []
        for pending in outbox.unsent(self.engine, 100):
            sent = pending.record
            classes = [message_class(name) for name in topic(sent.topic).messages]
            events.append(from_record(Record(sent.topic, 0, 0, sent.key, sent.value, sent.headers), classes))
        return events

    def failure(self) -> training.RunFailed:
        (event,) = [event for event in self.events() if isinstance(event.data, training.RunFailed)]
        failure: training.RunFailed = event.data
        return failure

    def state(self) -> RetrainState:
        with self.engine.begin() as connection:
            return sql.load_state(connection, "orders")


@pytest.fixture(scope="module")
def loop() -> Loop:
    return load_loop(ORDERS)


@pytest.fixture
def harness(tmp_path: Path, loop: Loop) -> Harness:
    engine = open_database(f"sqlite:///{tmp_path}/training.db", sql.metadata)
    with engine.begin() as connection:
        sql.save_state(connection, RetrainState("orders", chain=Chain("request-1", "run-1", "r-1")))
        sql.add_run(connection, "run-1", EVENT)
        sql.add_run(connection, "run-1", EVENT)
    return make_harness(engine, loop, tmp_path, ManualLauncher(), FakeClock())


def make_harness(engine: Engine, loop: Loop, home: Path, launcher: ManualLauncher, clock: FakeClock) -> Harness:
    settings = TrainingSettings(home=home)
    worker = Worker(
        source="training",
        engine=engine,
        launcher=launcher,
        policies={"orders": loop.definition.training},
        spec_of=lambda run: spec_of(settings, loop, run),
        clock=clock,
    )
    return Harness(engine, worker, launcher, clock)


def test_a_run_waits_until_lake_and_views_cover_its_window(harness: Harness) -> None:
    harness.cover("lake", 4999, placed=1)
    harness.cover("offline", 9000, view=7)
    harness.worker.tick()
    assert harness.launcher.launched == []
    harness.cover("lake", 5000, placed=4)
    harness.worker.tick()
    (spec,) = harness.launcher.launched
    assert spec.events["placed"].version == 4
    assert spec.events["placed"].path.endswith("lake/placed")
    assert spec.seed == 3


def test_the_start_names_the_pinned_versions_in_the_requests_chain(harness: Harness) -> None:
    harness.start()
    (event,) = harness.events()
    assert (event.data.lake_versions, event.data.view_versions) == ({"placed": 4}, {"view": 7})
    assert (event.correlation_id, event.causation_id, event.time_ms) == ("chain", "requested", 5000)


def test_versions_stay_pinned_when_more_data_arrives(harness: Harness) -> None:
    harness.start()
    harness.cover("lake", 9000, placed=9)
    harness.launcher.runs.clear()
    harness.worker.tick()
    assert [spec.events["placed"].version for spec in harness.launcher.launched] == [4, 4]


def test_coverage_never_decreases(harness: Harness) -> None:
    harness.cover("lake", 5000, placed=4)
    harness.cover("lake", 4000, placed=3, other=1)
    with harness.engine.begin() as connection:
        coverage = sql.load_coverage(connection, "orders", "lake")
    assert coverage is not None
    assert coverage.watermark_ms == 5000
    assert {name: table.version for name, table in coverage.tables.items()} == {"placed": 4, "other": 1}


def test_a_result_becomes_one_candidate_caused_by_the_start(harness: Harness) -> None:
    harness.start()
    harness.worker.tick()
    harness.launcher.end(TRAINED)
    harness.worker.tick()
    harness.worker.tick()
    started, candidate = harness.events()
    assert candidate.causation_id == started.id
    assert candidate.correlation_id == "chain"
    assert candidate.data.bundle.digest == "d1gest"
    assert candidate.data.reasons == REQUEST.reasons
    chain = harness.state().chain
    assert chain is not None
    assert chain.phase == "release-open"


def test_a_failed_result_ends_the_chain_with_its_reason(harness: Harness) -> None:
    harness.start()
    harness.launcher.end(Failed("data", "nothing there"))
    harness.worker.tick()
    assert (harness.failure().reason, harness.failure().detail) == ("data", "nothing there")
    assert harness.state().chain is None
    assert harness.state().consecutive_failures == 1
    assert harness.state().ended_ms == 5000


def test_a_crash_is_reported_with_the_end_of_its_stderr(harness: Harness) -> None:
    harness.start()
    harness.launcher.end(None, "exit code 1\nValueError: no")
    harness.worker.tick()
    assert (harness.failure().reason, harness.failure().detail) == ("error", "exit code 1\nValueError: no")


def test_a_run_over_its_time_is_stopped(harness: Harness) -> None:
    harness.start()
    harness.clock.move(180)
    harness.worker.tick()
    assert harness.launcher.stopped == []
    harness.clock.move(0.001)
    harness.worker.tick()
    assert set(harness.launcher.stopped) == {harness.launcher.folder}
    assert harness.failure().reason == "timeout"


def test_a_run_over_its_memory_is_stopped(harness: Harness) -> None:
    harness.start()
    harness.launcher.runs[harness.launcher.folder] = Observation("running", memory_mib=4097.0)
    harness.worker.tick()
    assert harness.failure().reason == "memory"
    assert "4096 MiB" in harness.failure().detail


def test_a_result_written_just_before_the_stop_counts(harness: Harness) -> None:
    harness.start()
    harness.launcher.result_at_stop = TRAINED
    harness.clock.move(200)
    harness.worker.tick()
    assert [type(event.data).__name__ for event in harness.events()] == ["RunStarted", "CandidateTrained"]


def test_after_a_restart_a_live_run_is_not_started_again(harness: Harness, loop: Loop, tmp_path: Path) -> None:
    harness.start()
    again = make_harness(harness.engine, loop, tmp_path, harness.launcher, harness.clock)
    again.worker.tick()
    assert len(harness.launcher.launched) == 1
    harness.launcher.end(TRAINED)
    again.worker.tick()
    harness.worker.tick()
    assert [type(event.data).__name__ for event in harness.events()] == ["RunStarted", "CandidateTrained"]


def test_a_vanished_run_is_relaunched_under_its_id_up_to_a_limit(harness: Harness) -> None:
    harness.start()
    for _ in range(4):
        harness.launcher.runs.clear()
        harness.worker.tick()
    assert [spec.run_id for spec in harness.launcher.launched] == ["run-1"] * 3
    assert harness.failure().reason == "error"
    assert "vanished 3 times" in harness.failure().detail


def test_a_stop_ends_runs_without_counting_a_launch(harness: Harness, loop: Loop, tmp_path: Path) -> None:
    harness.start()
    for _ in range(5):
        restarted = make_harness(harness.engine, loop, tmp_path, harness.launcher, harness.clock)
        restarted.worker.interrupt()
        assert harness.launcher.stopped[-1] == harness.launcher.folder  # another process launched the run
        harness.launcher.runs.clear()
        restarted.worker.tick()
    assert len(harness.launcher.launched) == 6
    assert [type(event.data).__name__ for event in harness.events()] == ["RunStarted"]


def test_a_run_killed_between_start_and_launch_is_launched_later(
    harness: Harness, loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(harness.launcher, "launch", killed)
    with pytest.raises(KeyboardInterrupt):
        harness.start()
    monkeypatch.undo()
    make_harness(harness.engine, loop, tmp_path, harness.launcher, harness.clock).worker.tick()
    assert len(harness.launcher.launched) == 1
    assert [type(event.data).__name__ for event in harness.events()] == ["RunStarted"]


def test_a_run_that_outlives_the_service_continues_after_a_stop(harness: Harness, loop: Loop, tmp_path: Path) -> None:
    harness.launcher.outlives_service = True
    harness.start()
    stop = threading.Event()
    stop.set()
    harness.worker.run(stop, 0.01)
    again = make_harness(harness.engine, loop, tmp_path, harness.launcher, harness.clock)
    harness.launcher.end(TRAINED)
    again.worker.tick()
    assert len(harness.launcher.launched) == 1
    assert [type(event.data).__name__ for event in harness.events()] == ["RunStarted", "CandidateTrained"]


def test_a_launcher_that_does_not_answer_is_asked_again(harness: Harness) -> None:
    harness.launcher.error = Retriable("no answer")
    harness.start()
    for _ in range(5):
        harness.worker.tick()
    assert harness.launcher.launched == []
    harness.launcher.error = None
    harness.worker.tick()
    harness.launcher.error = Retriable("no answer")
    harness.worker.tick()
    harness.launcher.error = None
    harness.launcher.end(TRAINED)
    harness.worker.tick()
    assert [spec.run_id for spec in harness.launcher.launched] == ["run-1"]
    assert [type(event.data).__name__ for event in harness.events()] == ["RunStarted", "CandidateTrained"]


def test_a_run_that_can_never_be_launched_has_failed(harness: Harness) -> None:
    harness.launcher.error = LaunchRefused("no such namespace")
    harness.start()
    assert (harness.failure().reason, harness.failure().detail) == ("error", "no such namespace")
    assert harness.state().chain is None


def test_a_run_that_does_not_start_in_time_is_stopped(harness: Harness) -> None:
    harness.start()
    harness.launcher.runs[harness.launcher.folder] = Observation("pending")
    harness.clock.move(10_000)
    harness.worker.tick()
    assert harness.launcher.stopped == []
    overdue = Failed("error", "did not start within 900 s: no node")
    harness.launcher.runs[harness.launcher.folder] = Observation("pending", overdue=overdue)
    harness.worker.tick()
    assert harness.launcher.stopped == [harness.launcher.folder]
    assert harness.failure().detail == overdue.detail


def test_the_time_that_a_cluster_needs_to_start_a_run_does_not_count(harness: Harness) -> None:
    harness.launcher.start_limit_s = 900.0
    harness.start()
    harness.clock.move(180 + 900)
    harness.worker.tick()
    assert harness.launcher.stopped == []
    harness.clock.move(0.001)
    harness.worker.tick()
    assert harness.failure().reason == "timeout"


class Late(dict[str, TrainingDefinition]):
    """Policies of a worker that reads its open runs and is then overtaken by another worker."""

    overtake: Callable[[], None] | None = None

    def __contains__(self, loop: object) -> bool:
        overtake, self.overtake = self.overtake, None
        if overtake is not None:
            overtake()
        return super().__contains__(loop)


def test_a_run_that_two_workers_see_is_launched_once(harness: Harness) -> None:
    policies = Late(harness.worker.policies)
    policies.overtake = harness.worker.tick
    harness.cover("lake", 5000, placed=4)
    harness.cover("offline", 5000, view=7)
    replace(harness.worker, policies=policies).tick()
    assert len(harness.launcher.launched) == 1
    assert [type(event.data).__name__ for event in harness.events()] == ["RunStarted"]


def test_a_vanished_run_that_two_workers_see_is_launched_once_more(harness: Harness) -> None:
    harness.start()
    harness.launcher.runs.clear()
    policies = Late(harness.worker.policies)
    policies.overtake = harness.worker.tick
    slow = replace(harness.worker, policies=policies, launcher=ManualLauncher(harness.launcher.launched))
    slow.tick()
    assert len(harness.launcher.launched) == 2


def test_a_result_that_two_workers_see_is_published_once(harness: Harness) -> None:
    harness.start()
    harness.launcher.end(TRAINED)
    policies = Late(harness.worker.policies)
    policies.overtake = harness.worker.tick
    replace(harness.worker, policies=policies).tick()
    assert [type(event.data).__name__ for event in harness.events()] == ["RunStarted", "CandidateTrained"]
    assert harness.state().chain is not None


def test_a_worker_that_another_has_replaced_leaves_its_runs_alone(harness: Harness, tmp_path: Path) -> None:
    harness.start()

    is_replaced = threading.Event()

    def fence(_: Connection) -> None:
        if is_replaced.is_set():
            raise LeaseLost("another instance has the lease")

    worker = replace(
        harness.worker, engine=open_database(f"sqlite:///{tmp_path}/training.db", sql.metadata, fence=fence)
    )
    is_replaced.set()
    with pytest.raises(LeaseLost):
        worker.interrupt()
    assert harness.launcher.stopped == []


def test_a_run_of_an_unknown_loop_is_ignored(harness: Harness, loop: Loop, tmp_path: Path) -> None:
    harness.cover("lake", 5000)
    harness.cover("offline", 5000)
    settings = TrainingSettings(home=tmp_path)
    other = Worker(
        "training", harness.engine, harness.launcher, {}, lambda run: spec_of(settings, loop, run), harness.clock
    )
    other.tick()
    assert harness.launcher.launched == []


def test_stopping_ends_the_processes(harness: Harness) -> None:
    import threading

    harness.start()
    stop = threading.Event()
    stop.set()
    harness.worker.run(stop, 0.01)
    assert set(harness.launcher.stopped) == {harness.launcher.folder}
