from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from driftloop.bus.ports import Record
from driftloop.contracts import training_pb2 as training
from driftloop.contracts.topics import message_class, topic
from driftloop.events.envelope import Envelope, from_record
from driftloop.loop import Loop, load_loop
from driftloop.runner import outbox
from driftloop.runner.tables import open_database
from services.training.adapters import sql
from services.training.bootstrap import spec_of
from services.training.config import TrainingSettings
from services.training.domain.state import Chain, LoopState
from services.training.ports import Observation
from services.training.spec import Failed, TableAt
from services.training.worker import Worker
from tests.helpers.clock import FakeClock
from tests.unit.training.fakes import TRAINED, HandLauncher

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
class Bench:
    """A worker over a database of its own, with one wanted run."""

    engine: Engine
    worker: Worker
    launcher: HandLauncher
    clock: FakeClock

    def cover(self, part: sql.Part, watermark_ms: int, **versions: int) -> None:
        tables = {name: TableAt(f"lake/{name}", version) for name, version in versions.items()}
        with self.engine.begin() as connection:
            sql.extend_coverage(connection, "orders", part, sql.Coverage(watermark_ms, tables))

    def start(self) -> None:
        self.cover("lake", 5000, placed=4)
        self.cover("offline", 5000, view=7)
        self.worker.tick()

    def said(self) -> list[Envelope[Any]]:
        found = []
        for pending in outbox.unsent(self.engine, 100):
            sent = pending.record
            classes = [message_class(name) for name in topic(sent.topic).messages]
            found.append(from_record(Record(sent.topic, 0, 0, sent.key, sent.value, sent.headers), classes))
        return found

    def failure(self) -> training.RunFailed:
        (event,) = [each for each in self.said() if isinstance(each.data, training.RunFailed)]
        found: training.RunFailed = event.data
        return found

    def state(self) -> LoopState:
        with self.engine.begin() as connection:
            return sql.load_state(connection, "orders")


@pytest.fixture(scope="module")
def loop() -> Loop:
    return load_loop(ORDERS)


@pytest.fixture
def bench(tmp_path: Path, loop: Loop) -> Bench:
    engine = open_database(f"sqlite:///{tmp_path}/training.db", sql.metadata)
    with engine.begin() as connection:
        sql.save_state(connection, LoopState("orders", chain=Chain("request-1", "run-1", "r-1")))
        sql.want_run(connection, "run-1", EVENT)
        sql.want_run(connection, "run-1", EVENT)
    return made(engine, loop, tmp_path, HandLauncher(), FakeClock())


def made(engine: Engine, loop: Loop, home: Path, launcher: HandLauncher, clock: FakeClock) -> Bench:
    settings = TrainingSettings(home=home)
    worker = Worker(
        source="training",
        engine=engine,
        launcher=launcher,
        policies={"orders": loop.definition.training},
        spec_of=lambda run: spec_of(settings, loop, run),
        clock=clock,
    )
    return Bench(engine, worker, launcher, clock)


def test_a_run_waits_until_lake_and_views_cover_its_window(bench: Bench) -> None:
    bench.cover("lake", 4999, placed=1)
    bench.cover("offline", 9000, view=7)
    bench.worker.tick()
    assert bench.launcher.launched == []
    bench.cover("lake", 5000, placed=4)
    bench.worker.tick()
    (spec,) = bench.launcher.launched
    assert spec.events["placed"].version == 4
    assert spec.events["placed"].path.endswith("lake/placed")
    assert spec.seed == 3


def test_the_start_names_the_pinned_versions_in_the_requests_chain(bench: Bench) -> None:
    bench.start()
    (event,) = bench.said()
    assert (event.data.lake_versions, event.data.view_versions) == ({"placed": 4}, {"view": 7})
    assert (event.correlation_id, event.causation_id, event.time_ms) == ("chain", "requested", 5000)


def test_versions_stay_pinned_when_more_comes(bench: Bench) -> None:
    bench.start()
    bench.cover("lake", 9000, placed=9)
    bench.launcher.runs.clear()
    bench.worker.tick()
    assert [spec.events["placed"].version for spec in bench.launcher.launched] == [4, 4]


def test_coverage_never_goes_back(bench: Bench) -> None:
    bench.cover("lake", 5000, placed=4)
    bench.cover("lake", 4000, placed=3, other=1)
    with bench.engine.begin() as connection:
        found = sql.load_coverage(connection, "orders", "lake")
    assert found is not None
    assert found.watermark_ms == 5000
    assert {name: table.version for name, table in found.tables.items()} == {"placed": 4, "other": 1}


def test_a_result_becomes_one_candidate_caused_by_the_start(bench: Bench) -> None:
    bench.start()
    bench.worker.tick()
    bench.launcher.end(TRAINED)
    bench.worker.tick()
    bench.worker.tick()
    started, candidate = bench.said()
    assert candidate.causation_id == started.id
    assert candidate.correlation_id == "chain"
    assert candidate.data.bundle.digest == "d1gest"
    assert candidate.data.reasons == REQUEST.reasons
    chain = bench.state().chain
    assert chain is not None
    assert chain.phase == "release-open"


def test_a_result_that_says_why_it_failed_ends_the_chain(bench: Bench) -> None:
    bench.start()
    bench.launcher.end(Failed("data", "nothing there"))
    bench.worker.tick()
    assert (bench.failure().reason, bench.failure().detail) == ("data", "nothing there")
    assert bench.state().chain is None
    assert bench.state().consecutive_failures == 1
    assert bench.state().ended_ms == 5000


def test_a_crash_is_told_with_its_last_words(bench: Bench) -> None:
    bench.start()
    bench.launcher.end(None, "exit code 1\nValueError: no")
    bench.worker.tick()
    assert (bench.failure().reason, bench.failure().detail) == ("error", "exit code 1\nValueError: no")


def test_a_run_over_its_time_is_stopped(bench: Bench) -> None:
    bench.start()
    bench.clock.move(180)
    bench.worker.tick()
    assert bench.launcher.stopped == []
    bench.clock.move(0.001)
    bench.worker.tick()
    assert set(bench.launcher.stopped) == {bench.launcher.folder}
    assert bench.failure().reason == "timeout"


def test_a_run_over_its_memory_is_stopped(bench: Bench) -> None:
    bench.start()
    bench.launcher.runs[bench.launcher.folder] = Observation("running", memory_mib=4097.0)
    bench.worker.tick()
    assert bench.failure().reason == "memory"
    assert "4096 MiB" in bench.failure().detail


def test_a_result_written_just_before_the_stop_counts(bench: Bench) -> None:
    bench.start()
    bench.launcher.result_at_stop = TRAINED
    bench.clock.move(200)
    bench.worker.tick()
    assert [type(each.data).__name__ for each in bench.said()] == ["RunStarted", "CandidateTrained"]


def test_after_a_restart_a_living_run_is_found_and_not_started_again(bench: Bench, loop: Loop, tmp_path: Path) -> None:
    bench.start()
    again = made(bench.engine, loop, tmp_path, bench.launcher, bench.clock)
    again.worker.tick()
    assert len(bench.launcher.launched) == 1
    bench.launcher.end(TRAINED)
    again.worker.tick()
    bench.worker.tick()
    assert [type(each.data).__name__ for each in bench.said()] == ["RunStarted", "CandidateTrained"]


def test_a_run_that_vanished_is_launched_again_under_its_id_but_not_for_ever(bench: Bench) -> None:
    bench.start()
    for _ in range(4):
        bench.launcher.runs.clear()
        bench.worker.tick()
    assert [spec.run_id for spec in bench.launcher.launched] == ["run-1"] * 3
    assert bench.failure().reason == "error"
    assert "vanished 3 times" in bench.failure().detail


def test_a_stop_ends_runs_and_is_not_counted_against_them(bench: Bench, loop: Loop, tmp_path: Path) -> None:
    bench.start()
    for _ in range(5):
        restarted = made(bench.engine, loop, tmp_path, bench.launcher, bench.clock)
        restarted.worker.interrupt()
        assert bench.launcher.stopped[-1] == bench.launcher.folder  # though another process launched it
        bench.launcher.runs.clear()
        restarted.worker.tick()
    assert len(bench.launcher.launched) == 6
    assert [type(each.data).__name__ for each in bench.said()] == ["RunStarted"]


def test_a_kill_between_start_and_launch_launches_later(
    bench: Bench, loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bench.launcher, "launch", killed)
    with pytest.raises(KeyboardInterrupt):
        bench.start()
    monkeypatch.undo()
    made(bench.engine, loop, tmp_path, bench.launcher, bench.clock).worker.tick()
    assert len(bench.launcher.launched) == 1
    assert [type(each.data).__name__ for each in bench.said()] == ["RunStarted"]


def test_a_run_of_a_loop_that_is_not_here_is_left_alone(bench: Bench, loop: Loop, tmp_path: Path) -> None:
    bench.cover("lake", 5000)
    bench.cover("offline", 5000)
    settings = TrainingSettings(home=tmp_path)
    other = Worker("training", bench.engine, bench.launcher, {}, lambda run: spec_of(settings, loop, run), bench.clock)
    other.tick()
    assert bench.launcher.launched == []


def test_stopping_ends_the_processes(bench: Bench) -> None:
    import threading

    bench.start()
    stop = threading.Event()
    stop.set()
    bench.worker.run(stop, 0.01)
    assert set(bench.launcher.stopped) == {bench.launcher.folder}
