"""A backup during a replay, restored elsewhere: both systems reach the same end."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tritonclient.grpc as triton

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.events.envelope import Envelope
from driftloop.events.event_log import read_events, read_topics
from driftloop.loop import load_loop
from driftloop.loop.code import load_module
from driftloop.model.bundle import Bundle
from driftloop.model.path_relocation import path_resolver
from driftloop.ops.backup.metadata import read_loops
from driftloop.ops.checks.model import Findings
from driftloop.ops.checks.predictions import Predictions, read_predictions
from driftloop.ops.checks.run import PREDICTIONS
from driftloop.ops.checks.run import run as run_checks
from driftloop.ops.checks.scores import bundles
from driftloop.ops.replay.caller import Caller
from driftloop.process.clock import SystemClock
from driftloop.process.settings import Settings
from driftloop.readmodel.loop_history import loop_states
from driftloop.readmodel.loops import LoopState
from tests.e2e.command_line import CommandLine, system
from tests.e2e.equality import LAST_DIGITS
from tests.e2e.running.system import infer
from tests.e2e.two_loops.harness import ORDERS, PATIENCE, SPANS, STEP, STEP_MS, definitions, settings_of, up
from tests.helpers.eventually import assert_eventually
from tests.loops.orders.source import DAY_MS, START_MS

pytestmark = [pytest.mark.e2e, pytest.mark.proof, pytest.mark.timeout(1800)]

_DECISIONS = ("monitoring", "training", "evaluation", "registry", "serving")
"""Domains whose events record observations and decisions. Other events record flushes, which depend on restarts."""
_MIDDLE_MS = START_MS + 14 * DAY_MS
"""After the first champion, during the days with more returns."""
_REPLAYED_S = 900.0


@dataclass(frozen=True)
class EndState:
    """What a system had stored at the end of the replay."""

    settings: Settings
    events: Sequence[Envelope[Any]]
    predictions: Predictions
    state: LoopState
    checks: Findings
    bundles: dict[str, Bundle]

    def decisions(self) -> list[tuple[int, str, str, str]]:
        """Return time, type, id and chain of every decision event."""
        events = [event for event in self.events if event.type.split(".")[1] in _DECISIONS]
        return sorted((event.time_ms, event.type, event.id, event.correlation_id) for event in events)

    def answers(self) -> Predictions:
        """Return the predictions that the replay requested, sorted by key; each key must be unique."""
        requested = self.predictions.take(~self.predictions.probe)
        assert len(set(requested.key)) == len(requested)
        return requested.take(np.argsort(requested.key))


@dataclass
class BackupRun:
    """A system that was backed up and continued, and one that was restored from the backup."""

    output: dict[str, Any]
    """Output of `backup`."""
    answered: int
    """Requests answered during the backup."""
    failed: list[str]
    first: EndState
    """End state in the home that was backed up."""
    second: EndState
    refused: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(scope="module")
def backup_run(tmp_path_factory: pytest.TempPathFactory) -> BackupRun:
    folder = tmp_path_factory.mktemp("backup")
    loops = definitions(folder, [ORDERS])
    copy, moved = folder / "copy", folder / "moved"
    with system(folder, loops) as line:
        since_ms = SystemClock().now_ms()
        up(line)
        with _replaying(line):
            settings = settings_of(line)
            assert_eventually(lambda: _is_past(settings, _MIDDLE_MS), _REPLAYED_S, "the middle")
            with _requesting(settings) as requests:
                backup_command = line.run("backup", str(copy), "--json")
            assert backup_command.returncode == 0, backup_command.stderr
        first = _end_state(settings, since_ms)
        refused = line.run("restore", str(copy), "--force")
    Path(line.environment["DRIFTLOOP_HOME"]).rename(moved)  # so that nothing can be read from the old path
    with system(folder, {**loops, "DRIFTLOOP_HOME": str(folder / "elsewhere")}) as line:
        restored = line.run("restore", str(copy))
        assert restored.returncode == 0, restored.stderr
        since_ms = SystemClock().now_ms()
        up(line)
        with _replaying(line, "--resume"):
            pass
        second = _end_state(settings_of(line), since_ms)
    backup_run = BackupRun(json.loads(backup_command.stdout), requests.answered, requests.failed, first, second)
    backup_run.refused = {"code": refused.returncode, "lines": refused.stderr.splitlines()}
    return backup_run


def test_predictions_are_answered_during_the_backup(backup_run: BackupRun) -> None:
    assert backup_run.failed == []
    assert backup_run.answered > 0
    assert backup_run.output["still_s"] > 0


def test_the_output_names_the_moment_of_the_backup(backup_run: BackupRun) -> None:
    backup = backup_run.output["loops"][ORDERS]
    assert backup["watermark_ms"] >= _MIDDLE_MS
    assert backup["champion"] in backup_run.first.bundles
    assert backup_run.output["files"] > 100


def test_both_systems_make_the_same_decisions_in_the_same_chains(backup_run: BackupRun) -> None:
    assert len(backup_run.first.decisions()) > 100
    assert backup_run.second.decisions() == backup_run.first.decisions()


def test_both_systems_give_the_same_answers(backup_run: BackupRun) -> None:
    first, second = backup_run.first.answers(), backup_run.second.answers()
    assert len(first) > 500
    for name in ("key", "decision_time_ms", "release", "arm", "epoch", "numeric", "categorical"):
        np.testing.assert_array_equal(getattr(second, name), getattr(first, name), err_msg=name)
    np.testing.assert_allclose(second.score, first.score, rtol=LAST_DIGITS, atol=0.0)


def test_both_systems_have_the_same_champion(backup_run: BackupRun) -> None:
    assert backup_run.first.state.champion
    assert (backup_run.second.state.champion, backup_run.second.state.epoch) == (
        backup_run.first.state.champion,
        backup_run.first.state.epoch,
    )


@pytest.mark.parametrize("which", ["first", "second"])
def test_every_check_is_equal_and_compared_something(backup_run: BackupRun, which: str) -> None:
    state: EndState = getattr(backup_run, which)
    assert [check for check in state.checks.checks if check.unequal] == []
    assert state.checks.counts.skew_compared > 1000


def test_both_systems_have_the_same_counts(backup_run: BackupRun) -> None:
    first, second = backup_run.first.checks.counts, backup_run.second.checks.counts
    assert sum(first.accepted.values()) > 5_000
    assert (second.accepted, second.dead_lettered, second.duplicates, second.skew_compared) == (
        first.accepted,
        first.dead_lettered,
        first.duplicates,
        first.skew_compared,
    )


def test_paths_into_the_old_home_are_read_in_the_new_home(backup_run: BackupRun) -> None:
    home = backup_run.second.settings.home.resolve()
    assert backup_run.second.bundles.keys() == backup_run.first.bundles.keys()
    assert all(bundle.folder.is_relative_to(home) for bundle in backup_run.second.bundles.values())


def test_a_running_system_is_not_overwritten(backup_run: BackupRun) -> None:
    assert backup_run.refused["code"] == 2
    [line] = backup_run.refused["lines"]
    assert "driftloop down" in line


def _is_past(settings: Settings, watermark_ms: int) -> bool:
    loop = read_loops(settings).get(ORDERS)
    return loop is not None and bool(loop.champion) and (loop.watermark_ms or 0) >= watermark_ms


@contextmanager
def _replaying(line: CommandLine, *more: str) -> Iterator[None]:
    """Run both clients beside a block, then wait for their end."""
    start, end = SPANS[ORDERS]
    arguments = (ORDERS, "--start", start, "--end", end, "--step", STEP, *more, *PATIENCE)
    clients = [line.start(command, *arguments) for command in ("call", "replay")]
    try:
        yield
        for client in clients:
            out, errors = client.communicate(timeout=_REPLAYED_S)
            assert client.returncode == 0, out[-1000:] + errors[-2000:]
    finally:
        for client in clients:
            client.kill()
            client.communicate()


@dataclass
class _Requests:
    answered: int = 0
    failed: list[str] = field(default_factory=list)


@contextmanager
def _requesting(settings: Settings) -> Iterator[_Requests]:
    """Request predictions one after the other during a block."""
    requests, stop = _Requests(), threading.Event()
    sender = threading.Thread(target=_send_requests, args=(settings, requests, stop))
    sender.start()
    try:
        yield requests
    finally:
        stop.set()
        sender.join(60.0)


def _send_requests(settings: Settings, requests: _Requests, stop: threading.Event) -> None:
    loop = load_loop(settings.loops_dir / ORDERS)
    events = load_module(loop.folder, "source").events(START_MS, START_MS + DAY_MS)
    rows: pa.Table = load_module(loop.folder, "requests").requests(events).slice(0, 4)
    now_ms = read_loops(settings)[ORDERS].watermark_ms
    rows = rows.set_column(1, "decision_time_ms", pa.array([now_ms] * len(rows), pa.int64()))
    with triton.InferenceServerClient(settings.triton_grpc) as client:
        caller = Caller(client, ORDERS, loop.definition.prediction)
        while not stop.is_set():
            try:
                infer(settings, client, ORDERS, caller.inputs(rows), f"probe-backup-{requests.answered}")
                requests.answered += 1
            except triton.InferenceServerException as error:
                requests.failed.append(str(error))


def _end_state(settings: Settings, since_ms: int) -> EndState:
    loop = load_loop(settings.loops_dir / ORDERS)
    events = read_events(KafkaSettings.of(settings))
    [state] = loop_states(events)
    predictions = read_predictions(read_topics(KafkaSettings.of(settings), [PREDICTIONS]), ORDERS)
    checks = run_checks(settings, loop, STEP_MS, since_ms=since_ms, say=print)
    return EndState(settings, events, predictions, state, checks, bundles(events, path_resolver(settings.home)))
