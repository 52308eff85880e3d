"""The service over the bus in memory: events in, events out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from driftloop.bus.memory import MemoryBroker
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
from tests.unit.training.fakes import TRAINED, HandLauncher

LOOPS = Path(__file__).resolve().parents[2] / "loops"
HALF_DAY_MS = 43_200_000
PATIENCE_S = 10.0
POLLS = 100

Conversation = Callable[["Bus"], Any]


class Bus:
    """Speaks to the service and hears it."""

    def __init__(self, launcher: HandLauncher, copies: int) -> None:
        self.broker = MemoryBroker()
        self.launcher = launcher
        self._copies = copies
        for name in declared():
            self.broker.create_topic(name)
            self.broker.create_topic(f"{name}.dlq")

    def tell(self, message: Message, time_ms: int, *parts: str | int) -> None:
        """Publish an event, as often as told."""
        loop = getattr(message, "loop", "")
        draft = Draft(ids.event_id(message.DESCRIPTOR.full_name, *parts), loop, time_ms, message)
        event = from_draft(draft, source="test", wall_time_ms=0, cause=None, traceparent=None)
        self.broker.append([to_record(event)] * self._copies)

    def window(self, number: int) -> None:
        """A window of half a day closes."""
        end_ms = number * HALF_DAY_MS
        closed = monitoring.WindowClosed(
            loop="orders", window_id=f"w{number}", start_ms=end_ms - HALF_DAY_MS, end_ms=end_ms
        )
        self.tell(closed, end_ms, number)

    def heard(self, name: str) -> list[Envelope[Any]]:
        """Events on one of the service's topics."""
        classes = [message_class(each) for each in topic(name).messages]
        return [from_record(record, classes) for record in self.broker.records(name)]

    async def hear(self, name: str, count: int) -> list[Envelope[Any]]:
        """Wait, bounded, for so many events on a topic."""
        consumer, seen = self.broker.lifecycle_consumer([name], "test"), 0
        for _ in range(POLLS):
            seen += len(await consumer.poll(100, 0.1))
            if seen >= count:
                return [] if name.endswith(".dlq") else self.heard(name)
        raise AssertionError(f"{seen} of {count} events on {name}")

    async def launched(self) -> bool:
        """Whether a run was launched."""
        return bool(self.launcher.launched)


async def converse(home: Path, talk: Conversation, copies: int = 1) -> Bus:
    """Run the service for the length of a conversation."""
    settings = TrainingSettings(home=home, loops_dir=LOOPS, loops=("orders",), worker_pause_s=0.01)
    loops = {loop.name: loop for loop in load_loops(settings.loops_dir, settings.loops)}
    handlers = table({name: loop.definition.training for name, loop in loops.items()})
    stop, bus = threading.Event(), Bus(HandLauncher(), copies)
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
        await talk(bus)
    finally:
        stop.set()
        await asyncio.wait_for(running, PATIENCE_S)
    return bus


async def to_the_first_champion(bus: Bus) -> None:
    """Twenty windows, the run, the promotion; then an alarm that is kept, and the request it makes."""
    for number in range(1, 21):
        bus.window(number)
    await bus.hear("monitoring.window-decided.v1", 20)
    (request,) = await bus.hear("training.retrain-requested.v1", 1)
    end_ms = request.data.window_end_ms
    bus.tell(ingestion.LakeFlushed(loop="orders", watermark_ms=end_ms), end_ms, "lake")
    bus.tell(features.OfflineFlushed(loop="orders", watermark_ms=end_ms), end_ms, "offline")
    (started,) = await bus.hear("training.run-started.v1", 1)
    alarm = monitoring.DriftDetected(loop="orders", detector="returns", mode="trigger", evidence_ids=["e"])
    bus.tell(alarm, end_ms, "alarm")
    bus.tell(monitoring.DriftDetected(loop="orders", detector="lines", mode="watch"), end_ms, "watch")
    await bus.hear("training.reason-coalesced.v1", 1)
    await assert_eventually_async(bus.launched, PATIENCE_S)  # what is told stands before what is launched
    bus.launcher.end(TRAINED)
    await bus.hear("training.candidate-trained.v1", 1)
    release = ids.short_id("r", "orders", started.data.run_id)
    bus.tell(registry.ChampionPromoted(loop="orders", release_id=release), end_ms, "promoted")
    bus.tell(control.Pause(loop="orders"), end_ms, "pause")
    bus.tell(control.Resume(loop="orders"), end_ms, "resume")
    bus.window(21)
    await bus.hear("monitoring.window-decided.v1", 21)
    bus.window(22)
    await bus.hear("monitoring.window-decided.v1", 22)
    await bus.hear("training.retrain-requested.v1", 2)


async def test_reasons_become_runs_and_candidates(tmp_path: Path) -> None:
    bus = await converse(tmp_path, to_the_first_champion)
    first, second = bus.heard("training.retrain-requested.v1")
    (candidate,) = bus.heard("training.candidate-trained.v1")
    assert [reason.kind for reason in first.data.reasons] == ["first-champion"]
    assert candidate.correlation_id == first.id == first.correlation_id
    assert [reason.kind for reason in second.data.reasons] == ["drift"]
    (kept,) = bus.heard("training.reason-coalesced.v1")
    assert kept.data.because == "run-open"
    assert second.correlation_id == kept.correlation_id
    decided = {each.data.window_id: list(each.data.opened) for each in bus.heard("monitoring.window-decided.v1")}
    assert decided["w20"] == [first.id]
    assert second.id in {opened for number in (21, 22) for opened in decided[f"w{number}"]}
    assert decided["w1"] == []


async def test_events_that_come_three_times_say_the_same(tmp_path: Path) -> None:
    once = await converse(tmp_path / "once", to_the_first_champion)
    thrice = await converse(tmp_path / "thrice", to_the_first_champion, copies=3)
    for name in ("retrain-requested", "run-started", "candidate-trained", "reason-coalesced"):
        both = [[event.id for event in bus.heard(f"training.{name}.v1")] for bus in (once, thrice)]
        assert both[0] == both[1]


async def test_a_loop_that_does_not_run_here_is_a_dead_letter(tmp_path: Path) -> None:
    async def talk(bus: Bus) -> None:
        bus.tell(control.Retrain(loop="nowhere", who="ann", why="try"), 0, "x")
        await bus.hear("control.retrain.v1.dlq", 1)

    bus = await converse(tmp_path, talk)
    (letter,) = bus.broker.records("control.retrain.v1.dlq")
    assert isinstance(letter, Record)
    assert b"unknown-loop" in [value for _, value in letter.headers]


async def test_every_declared_input_has_a_handler() -> None:
    consumed = {name for name, each in declared().items() if NAME in each.consumers}
    assert consumed == set(topics_of(table({})))


async def test_a_message_out_of_nowhere_asks_for_nothing(tmp_path: Path) -> None:
    async def talk(bus: Bus) -> None:
        bus.tell(training.RetrainRequested(loop="orders", request_id="stranger"), 0, "s")
        bus.window(1)
        await bus.hear("monitoring.window-decided.v1", 1)

    bus = await converse(tmp_path, talk)
    assert bus.launcher.launched == []
