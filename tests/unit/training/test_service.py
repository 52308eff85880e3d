"""Tests of the service on the in-memory bus."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from driftloop.bus.ports import Record
from driftloop.contracts import control_pb2 as control
from driftloop.contracts import features_pb2 as features
from driftloop.contracts import ingestion_pb2 as ingestion
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import training_pb2 as training
from driftloop.contracts.topics import declared, message_class, topic
from driftloop.events import ids
from driftloop.events.envelope import Draft, Envelope, from_draft, from_record, to_record
from driftloop.loop import load_loops
from driftloop.runner.service import topics_of
from services.training.bootstrap import NAME, assemble
from services.training.config import TrainingSettings
from services.training.handlers import table
from tests.helpers.clock import FakeClock
from tests.helpers.eventually import assert_eventually_async
from tests.helpers.memory_broker import MemoryBroker
from tests.unit.training.fakes import TRAINED, ManualLauncher

LOOPS = Path(__file__).resolve().parents[2] / "loops"
HALF_DAY_MS = 43_200_000
TIMEOUT_S = 10.0
POLLS = 100

Script = Callable[["Bus"], Any]


class Bus:
    """Publishes events to the service and reads its events."""

    def __init__(self, launcher: ManualLauncher, copies: int) -> None:
        self.broker = MemoryBroker()
        self.launcher = launcher
        self._copies = copies
        self._wall_ms = 0
        for name in declared():
            self.broker.create_topic(name)
            self.broker.create_topic(f"{name}.dlq")

    def publish(self, message: Message, time_ms: int, *parts: str | int) -> None:
        """Publish an event ``copies`` times."""
        loop = getattr(message, "loop", "")
        draft = Draft(ids.event_id(message.DESCRIPTOR.full_name, *parts), loop, time_ms, message)
        self._wall_ms += 1
        event = from_draft(draft, source="test", wall_time_ms=self._wall_ms, cause=None, traceparent=None)
        self.broker.append([to_record(event)] * self._copies)

    def window(self, number: int) -> None:
        """Publish the end of a window of half a day."""
        end_ms = number * HALF_DAY_MS
        closed = monitoring.WindowClosed(
            loop="orders", window_id=f"w{number}", start_ms=end_ms - HALF_DAY_MS, end_ms=end_ms
        )
        self.publish(closed, end_ms, number)

    def events(self, name: str) -> list[Envelope[Any]]:
        """Return the events on one of the service's topics."""
        classes = [message_class(message) for message in topic(name).messages]
        return [from_record(record, classes) for record in self.broker.records(name)]

    async def wait_for(self, name: str, count: int) -> list[Envelope[Any]]:
        """Wait for a number of events on a topic, up to a limit."""
        consumer, seen = self.broker.lifecycle_consumer([name], "test"), 0
        for _ in range(POLLS):
            seen += len(await consumer.poll(100, 0.1))
            if seen >= count:
                return [] if name.endswith(".dlq") else self.events(name)
        raise AssertionError(f"{seen} of {count} events on {name}")

    async def launched(self) -> bool:
        """Return whether a run was launched."""
        return bool(self.launcher.launched)


async def play(home: Path, script: Script, copies: int = 1) -> Bus:
    """Run the service while a script talks to it."""
    settings = TrainingSettings(home=home, loops_dir=LOOPS, loops=("orders",), worker_pause_s=0.01)
    loops = {loop.name: loop for loop in load_loops(settings.loops_dir, settings.loops)}
    handlers = table({name: loop.definition.training for name, loop in loops.items()})
    stop, bus = threading.Event(), Bus(ManualLauncher(), copies)
    service = assemble(
        settings,
        stop,
        loops=loops,
        handlers=handlers,
        consumer=bus.broker.lifecycle_consumer(topics_of(handlers), NAME),
        producer=bus.broker.lifecycle_producer(),
        launcher=bus.launcher,
        clock=FakeClock(),
    )
    running = asyncio.create_task(service.run())
    try:
        await script(bus)
    finally:
        stop.set()
        await asyncio.wait_for(running, TIMEOUT_S)
    return bus


async def to_the_first_champion(bus: Bus) -> None:
    """Play twenty windows, the run and the promotion, then a kept alarm and its request."""
    for number in range(1, 21):
        bus.window(number)
    await bus.wait_for("monitoring.window-decided.v1", 20)
    (request,) = await bus.wait_for("training.retrain-requested.v1", 1)
    end_ms = request.data.window_end_ms
    bus.publish(ingestion.LakeFlushed(loop="orders", watermark_ms=end_ms), end_ms, "lake")
    bus.publish(features.OfflineFlushed(loop="orders", watermark_ms=end_ms), end_ms, "offline")
    (started,) = await bus.wait_for("training.run-started.v1", 1)
    alarm = monitoring.DriftDetected(loop="orders", detector="returns", mode="trigger", evidence_ids=["e"])
    bus.publish(alarm, end_ms, "alarm")
    bus.publish(monitoring.DriftDetected(loop="orders", detector="lines", mode="watch"), end_ms, "watch")
    await bus.wait_for("training.reason-coalesced.v1", 1)
    await assert_eventually_async(bus.launched, TIMEOUT_S)  # the launch follows its event
    bus.launcher.end(TRAINED)
    await bus.wait_for("training.candidate-trained.v1", 1)
    release = ids.short_id("r", "orders", started.data.run_id)
    bus.publish(registry.ChampionPromoted(loop="orders", release_id=release), end_ms, "promoted")
    bus.publish(control.Pause(loop="orders"), end_ms, "pause")
    bus.publish(control.Resume(loop="orders"), end_ms, "resume")
    bus.window(21)
    await bus.wait_for("monitoring.window-decided.v1", 21)
    bus.window(22)
    await bus.wait_for("monitoring.window-decided.v1", 22)
    await bus.wait_for("training.retrain-requested.v1", 2)


async def test_reasons_become_runs_and_candidates(tmp_path: Path) -> None:
    bus = await play(tmp_path, to_the_first_champion)
    first, second = bus.events("training.retrain-requested.v1")
    (candidate,) = bus.events("training.candidate-trained.v1")
    assert [reason.kind for reason in first.data.reasons] == ["first-champion"]
    assert candidate.correlation_id == first.id == first.correlation_id
    assert [reason.kind for reason in second.data.reasons] == ["drift"]
    (kept,) = bus.events("training.reason-coalesced.v1")
    assert kept.data.because == "run-open"
    assert second.correlation_id == kept.correlation_id
    decided = {event.data.window_id: list(event.data.opened) for event in bus.events("monitoring.window-decided.v1")}
    assert decided["w20"] == [first.id]
    assert second.id in {opened for number in (21, 22) for opened in decided[f"w{number}"]}
    assert decided["w1"] == []


async def test_events_that_arrive_three_times_have_the_same_result(tmp_path: Path) -> None:
    once = await play(tmp_path / "once", to_the_first_champion)
    thrice = await play(tmp_path / "thrice", to_the_first_champion, copies=3)
    for name in ("retrain-requested", "run-started", "candidate-trained", "reason-coalesced"):
        event_ids = [[event.id for event in bus.events(f"training.{name}.v1")] for bus in (once, thrice)]
        assert event_ids[0] == event_ids[1]


async def test_an_event_of_a_loop_that_runs_elsewhere_is_skipped_and_a_malformed_name_is_a_dead_letter(
    tmp_path: Path,
) -> None:
    async def script(bus: Bus) -> None:
        bus.publish(control.Retrain(loop="elsewhere", who="ann", why="try"), 0, "x")
        bus.publish(control.Retrain(loop="No Where", who="ann", why="try"), 0, "y")
        await bus.wait_for("control.retrain.v1.dlq", 1)

    bus = await play(tmp_path, script)
    (dead_letter,) = bus.broker.records("control.retrain.v1.dlq")
    assert isinstance(dead_letter, Record)
    assert b"malformed-loop" in [value for _, value in dead_letter.headers]
    assert bus.events("training.retrain-requested.v1") == []


async def test_every_declared_input_has_a_handler() -> None:
    consumed = {name for name, declaration in declared().items() if NAME in declaration.consumers}
    assert consumed == set(topics_of(table({})))


async def test_a_request_that_is_not_open_starts_no_run(tmp_path: Path) -> None:
    async def script(bus: Bus) -> None:
        bus.publish(training.RetrainRequested(loop="orders", request_id="unknown"), 0, "s")
        bus.window(1)
        await bus.wait_for("monitoring.window-decided.v1", 1)

    bus = await play(tmp_path, script)
    assert bus.launcher.launched == []
