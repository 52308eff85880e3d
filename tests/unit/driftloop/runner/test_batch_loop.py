from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from driftloop.bus.ports import Outgoing, Record, TopicPartition
from driftloop.process.errors import Retriable
from driftloop.runner.batch_loop import BatchLoop, Flush, LoopOptions, Positions, Processor
from tests.helpers.clock import FakeClock
from tests.helpers.fuse import Fuse, Killed
from tests.helpers.memory_broker import MemoryBatchConsumer, MemoryBroker

INPUT = TopicPartition("input", 0)
RECORDS = 11


@dataclass
class Disk:
    """What survives a kill: rows by offset, and the checkpoint."""

    rows: dict[int, bytes | None] = field(default_factory=dict)
    checkpoint: int = 0


class Consumer(MemoryBatchConsumer):
    """Sparks around a commit, and requires that everything before a committed offset is durable."""

    fuse: Fuse
    disk: Disk
    refuses = False
    unreachable = False
    commits: list[int]

    def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        if self.unreachable:
            raise Retriable("no broker")
        return super().poll(max_records, timeout_s)

    def commit(self, positions: Positions) -> None:
        assert self.disk.checkpoint >= positions[INPUT]
        assert set(range(positions[INPUT])) <= set(self.disk.rows)
        self.fuse.spark()
        if self.refuses:
            raise Retriable("no broker")
        self.commits.append(positions[INPUT])
        super().commit(positions)
        self.fuse.spark()


class Copy(Processor[Sequence[Record]]):
    """Copies records to the disk; a flush is due after ``flush_rows`` rows."""

    def __init__(self, consumer: Consumer, disk: Disk, fuse: Fuse, flush_rows: int) -> None:
        self._consumer = consumer
        self._disk = disk
        self._fuse = fuse
        self._flush_rows = flush_rows
        self._rows: dict[int, bytes | None] = {}
        self._read_to = self._flushing = 0
        self.during_flush: Callable[[], object] = lambda: None
        self.lags: list[int] = []

    def start(self) -> Positions:
        self._read_to = self._disk.checkpoint
        self._consumer.seek({INPUT: self._read_to})
        return {INPUT: self._read_to} if self._read_to else {}

    def read(self) -> Sequence[Record]:
        self._fuse.spark()
        return self._consumer.poll(2, 0.0)

    def process(self, batch: Sequence[Record]) -> None:
        for record in batch:
            self._fuse.spark()
            self._rows[record.offset] = record.value
            self._read_to = record.offset + 1

    def due_flush(self) -> Flush | None:
        return self._new_flush() if len(self._rows) >= self._flush_rows else None

    def last_flush(self) -> Flush | None:
        return self._new_flush() if self._rows else None

    def flushed(self) -> None:
        self._fuse.spark()
        self._disk.checkpoint = self._flushing
        self._fuse.spark()

    def report_lag(self, ends: Positions) -> None:
        self.lags.append(ends[INPUT] - self._read_to)

    def _new_flush(self) -> Flush:
        rows, self._rows, self._flushing = self._rows, {}, self._read_to
        positions = {INPUT: self._read_to}

        def flush() -> Positions:
            self.during_flush()
            for offset, value in rows.items():
                self._fuse.spark()
                self._disk.rows[offset] = value
            self._fuse.spark()
            return positions

        return flush


class Resource:
    def __init__(self, name: str, closed: list[str]) -> None:
        self._name, self._closed = name, closed

    def close(self) -> None:
        self._closed.append(self._name)


@dataclass
class World:
    """A topic with records, a disk, and processes that start over them."""

    broker: MemoryBroker = field(default_factory=MemoryBroker)
    disk: Disk = field(default_factory=Disk)
    clock: FakeClock = field(default_factory=FakeClock)
    stop: threading.Event = field(default_factory=threading.Event)
    options: LoopOptions = field(default_factory=LoopOptions)
    closed: list[str] = field(default_factory=list)
    flush_rows: int = 3

    def __post_init__(self) -> None:
        self.broker.create_topic(INPUT.topic, 1)
        self.broker.append([Outgoing(INPUT.topic, str(number).encode()) for number in range(RECORDS)])

    def start(self, fuse: Fuse | None = None, **options: Any) -> BatchLoop:
        self.consumer = Consumer(self.broker, [INPUT.topic], "copy")
        self.consumer.fuse, self.consumer.disk, self.consumer.commits = fuse or Fuse(), self.disk, []
        self.copy = Copy(self.consumer, self.disk, self.consumer.fuse, self.flush_rows)
        loop = BatchLoop(
            self.copy, self.consumer, self.stop, self.clock,
            options=replace(self.options, **options),
            resources=[Resource("store", self.closed)], producer=Resource("producer", self.closed),
        )  # fmt: skip
        loop.start()
        return loop

    def run(self, fuse: Fuse | None = None) -> None:
        run_to_the_end(self.start(fuse))

    def is_copied(self) -> bool:
        return self.disk == Disk({number: str(number).encode() for number in range(RECORDS)}, RECORDS)


def run_to_the_end(loop: BatchLoop) -> None:
    while loop.step():
        pass
    loop.finish()


def test_everything_is_durable_and_committed_after_a_graceful_stop() -> None:
    world = World()
    world.run()
    assert world.is_copied()
    assert world.consumer.commits == [4, 8, RECORDS]


def sparks_of_a_whole_run() -> int:
    fuse = Fuse()
    World().run(fuse)
    return fuse.sparks


@pytest.mark.parametrize("at", range(1, sparks_of_a_whole_run() + 1))
def test_a_process_killed_at_any_step_loses_nothing(at: int) -> None:
    """The consumer checks at each commit that everything before it is durable."""
    world = World()
    with pytest.raises(Killed):
        world.run(Fuse(at))
    assert world.broker.committed("copy").get(INPUT, 0) <= world.disk.checkpoint
    world.run()
    assert world.is_copied()
    assert world.broker.committed("copy") == {INPUT: RECORDS}


def test_processing_continues_during_a_background_flush_and_a_second_flush_waits() -> None:
    world = World()
    loop = world.start(background_flush=True)
    started, released = threading.Event(), threading.Event()
    flushes: list[str] = []

    def hold() -> None:
        flushes.append(threading.current_thread().name)
        started.set()
        assert released.wait(10)

    world.copy.during_flush = hold
    while loop.step():
        pass
    assert started.wait(10)
    assert (len(flushes), world.disk.checkpoint, world.consumer.commits) == (1, 0, [])
    released.set()
    loop.finish()
    assert flushes == ["flush_0"] * 2
    assert world.is_copied()


def test_an_error_of_a_background_flush_ends_the_loop_and_nothing_is_committed() -> None:
    world = World()
    loop = world.start(background_flush=True)
    world.copy.during_flush = fail
    with pytest.raises(Retriable, match="store"):
        run_to_the_end(loop)
    assert (world.disk, world.consumer.commits) == (Disk(), [])


def fail() -> None:
    raise Retriable("no store")


def test_a_stop_closes_the_resources_and_then_the_producer() -> None:
    world = World()
    loop = world.start()
    world.stop.set()
    loop.run()
    assert world.closed == ["store", "producer"]
    assert not loop.ready()


def test_after_an_error_the_resources_are_closed_but_not_the_producer() -> None:
    world = World()
    loop = world.start()
    world.copy.during_flush = fail
    with pytest.raises(Retriable):
        loop.run()
    assert world.closed == ["store"]


def test_a_retriable_error_can_be_handled_and_the_next_step_tries_again() -> None:
    world = World(flush_rows=1)
    problems: list[str] = []

    def recover(error: Retriable) -> None:
        problems.append(str(error))
        world.consumer.unreachable = False
        world.copy.during_flush = world.stop.set

    loop = world.start(on_retriable=recover)
    world.consumer.unreachable = True
    loop.run()
    assert problems == ["no broker"]
    assert world.consumer.commits == [2]


def test_a_refused_commit_ends_the_loop_only_where_it_is_required() -> None:
    world = World()
    loop = world.start()
    world.consumer.refuses = True
    loop.step()
    with pytest.raises(Retriable):
        loop.step()
    loop = world.start(commit_required=False)
    world.consumer.refuses = True
    loop.step()
    world.consumer.refuses = False
    run_to_the_end(loop)
    assert world.broker.committed("copy") == {INPUT: RECORDS}


def test_commits_and_lag_keep_their_intervals() -> None:
    world = World(flush_rows=1)
    loop = world.start(commit_every_s=1.0, lag_every_s=5.0)
    for _ in range(3):
        loop.step()
    assert (world.consumer.commits, world.copy.lags) == ([], [])
    world.clock.move(1.0)
    loop.step()
    assert (world.consumer.commits, world.copy.lags) == ([8], [])
    world.clock.move(4.5)
    loop.step()
    assert (world.consumer.commits, world.copy.lags) == ([8, 10], [RECORDS - 10])
    loop.step()
    loop.finish()
    assert (world.consumer.commits, world.copy.lags) == ([8, 10, RECORDS], [1])
