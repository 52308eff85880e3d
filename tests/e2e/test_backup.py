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

from driftloop.events.envelope import Envelope
from driftloop.events.event_log import read_events, read_topics
from driftloop.loop import load_loop
from driftloop.loop.code import load_module
from driftloop.model.bundle import Bundle
from driftloop.model.path_relocation import path_resolver
from driftloop.ops.backup.metadata import loops_of
from driftloop.ops.checks.model import Findings
from driftloop.ops.checks.predictions import Predictions, read_predictions
from driftloop.ops.checks.run import PREDICTIONS
from driftloop.ops.checks.run import run as run_checks
from driftloop.ops.checks.scores import bundles
from driftloop.ops.replay.caller import Caller
from driftloop.process.clock import SystemClock
from driftloop.process.settings import Settings
from driftloop.readmodel.loops import LoopState, loop_states
from tests.e2e.command_line import CommandLine, system
from tests.e2e.equality import LAST_DIGITS
from tests.e2e.running.system import infer
from tests.e2e.two_loops.together import ORDERS, PATIENCE, SPANS, STEP, STEP_MS, definitions, settings_of, up
from tests.helpers.eventually import assert_eventually
from tests.loops.orders.source import DAY_MS, START_MS

pytestmark = [pytest.mark.e2e, pytest.mark.proof, pytest.mark.timeout(1800)]

_DECISIONS = ("monitoring", "training", "evaluation", "registry", "serving")
"""Domains whose events record observations and decisions. Other events record flushes, which depend on restarts."""
_MIDDLE_MS = START_MS + 14 * DAY_MS
"""After the first champion, during the days with more returns."""
_REPLAYED_S = 900.0


@dataclass(frozen=True)
class Ended:
    """What a system had stored at the end of the replay."""

    settings: Settings
    events: Sequence[Envelope[Any]]
    predictions: Predictions
    state: LoopState
    checks: Findings
    bundles: dict[str, Bundle]

    def decisions(self) -> list[tuple[int, str, str, str]]:
        """Return time, type, id and chain of every decision event."""
        found = [each for each in self.events if each.type.split(".")[1] in _DECISIONS]
        return sorted((each.time_ms, each.type, each.id, each.correlation_id) for each in found)

    def answers(self) -> Predictions:
        """Return the predictions that the replay requested, sorted by key; each key must be unique."""
        asked = self.predictions.take(~self.predictions.probe)
        assert len(set(asked.key)) == len(asked)
        return asked.take(np.argsort(asked.key))


@dataclass
class Story:
    """A system that was backed up and continued, and one that was restored from the backup."""

    said: dict[str, Any]
    """Output of `backup`."""
    answered: int
    """Requests answered during the backup."""
    failed: list[str]
    first: Ended
    """End state in the home that was backed up."""
    second: Ended
    refused: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("backup")
    more = definitions(folder, [ORDERS])
    copy, gone = folder / "copy", folder / "gone"
    with system(folder, more) as line:
        since_ms = SystemClock().now_ms()
        up(line)
        with _replaying(line):
            settings = settings_of(line)
            assert_eventually(lambda: _is_past(settings, _MIDDLE_MS), _REPLAYED_S, "the middle")
            with _asking(settings) as asked:
                made = line.run("backup", str(copy), "--json")
            assert made.returncode == 0, made.stderr
        first = _ended(settings, since_ms)
        refused = line.run("restore", str(copy), "--force")
    Path(line.environment["DRIFTLOOP_HOME"]).rename(gone)  # so that nothing can be read from the old path
    with system(folder, {**more, "DRIFTLOOP_HOME": str(folder / "elsewhere")}) as line:
        restored = line.run("restore", str(copy))
        assert restored.returncode == 0, restored.stderr
        since_ms = SystemClock().now_ms()
        up(line)
        with _replaying(line, "--resume"):
            pass
        second = _ended(settings_of(line), since_ms)
    story = Story(json.loads(made.stdout), asked.answered, asked.failed, first, second)
    story.refused = {"code": refused.returncode, "lines": refused.stderr.splitlines()}
    return story


def test_predictions_are_answered_while_it_is_made(story: Story) -> None:
    assert story.failed == []
    assert story.answered > 0
    assert story.said["still_s"] > 0


def test_it_tells_of_what_moment_it_is(story: Story) -> None:
    told = story.said["loops"][ORDERS]
    assert told["watermark_ms"] >= _MIDDLE_MS
    assert told["champion"] in story.first.bundles
    assert story.said["files"] > 100


def test_both_come_to_the_same_decisions_in_the_same_chains(story: Story) -> None:
    assert len(story.first.decisions()) > 100
    assert story.second.decisions() == story.first.decisions()


def test_both_give_the_same_answers(story: Story) -> None:
    first, second = story.first.answers(), story.second.answers()
    assert len(first) > 500
    for name in ("key", "decision_time_ms", "release", "arm", "epoch", "numeric", "categorical"):
        np.testing.assert_array_equal(getattr(second, name), getattr(first, name), err_msg=name)
    np.testing.assert_allclose(second.score, first.score, rtol=LAST_DIGITS, atol=0.0)


def test_both_have_the_same_champion(story: Story) -> None:
    assert story.first.state.champion
    assert (story.second.state.champion, story.second.state.epoch) == (
        story.first.state.champion,
        story.first.state.epoch,
    )


@pytest.mark.parametrize("which", ["first", "second"])
def test_every_check_is_equal_and_compared_something(story: Story, which: str) -> None:
    found: Ended = getattr(story, which)
    assert [each for each in found.checks.checks if each.unequal] == []
    assert found.checks.counts.skew_compared > 1000


def test_both_counted_the_same(story: Story) -> None:
    first, second = story.first.checks.counts, story.second.checks.counts
    assert sum(first.accepted.values()) > 5_000
    assert (second.accepted, second.dead_lettered, second.duplicates, second.skew_compared) == (
        first.accepted,
        first.dead_lettered,
        first.duplicates,
        first.skew_compared,
    )


def test_what_events_name_in_the_former_home_is_read_in_the_new_one(story: Story) -> None:
    home = story.second.settings.home.resolve()
    assert story.second.bundles.keys() == story.first.bundles.keys()
    assert all(each.folder.is_relative_to(home) for each in story.second.bundles.values())


def test_nothing_is_restored_over_a_system_that_runs(story: Story) -> None:
    assert story.refused["code"] == 2
    [said] = story.refused["lines"]
    assert "driftloop down" in said


def _is_past(settings: Settings, watermark_ms: int) -> bool:
    found = loops_of(settings).get(ORDERS)
    return found is not None and bool(found.champion) and (found.watermark_ms or 0) >= watermark_ms


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
class _Asked:
    answered: int = 0
    failed: list[str] = field(default_factory=list)


@contextmanager
def _asking(settings: Settings) -> Iterator[_Asked]:
    """Request predictions one after the other during a block."""
    asked, stop = _Asked(), threading.Event()
    asking = threading.Thread(target=_ask, args=(settings, asked, stop))
    asking.start()
    try:
        yield asked
    finally:
        stop.set()
        asking.join(60.0)


def _ask(settings: Settings, asked: _Asked, stop: threading.Event) -> None:
    loop = load_loop(settings.loops_dir / ORDERS)
    events = load_module(loop.folder, "source").events(START_MS, START_MS + DAY_MS)
    rows: pa.Table = load_module(loop.folder, "requests").requests(events).slice(0, 4)
    now_ms = loops_of(settings)[ORDERS].watermark_ms
    rows = rows.set_column(1, "decision_time_ms", pa.array([now_ms] * len(rows), pa.int64()))
    with triton.InferenceServerClient(settings.triton_grpc) as client:
        caller = Caller(client, ORDERS, loop.definition.prediction)
        while not stop.is_set():
            try:
                infer(client, ORDERS, caller.inputs(rows), f"probe-backup-{asked.answered}")
                asked.answered += 1
            except triton.InferenceServerException as error:
                asked.failed.append(str(error))


def _ended(settings: Settings, since_ms: int) -> Ended:
    loop = load_loop(settings.loops_dir / ORDERS)
    events = read_events(settings.kafka_bootstrap)
    [state] = loop_states(events)
    predictions = read_predictions(read_topics(settings.kafka_bootstrap, [PREDICTIONS]), ORDERS)
    checks = run_checks(settings, loop, STEP_MS, since_ms=since_ms, say=print)
    return Ended(settings, events, predictions, state, checks, bundles(events, path_resolver(settings.home)))
