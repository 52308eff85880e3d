"""Reads all lifecycle events into the read model, on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine

from driftloop.bus.dead_letters import dead_letter_for_error
from driftloop.bus.ports import BatchConsumer, BatchProducer, Record, TopicPartition
from driftloop.events.envelope import Envelope
from driftloop.events.event_log import decode
from driftloop.process import log
from driftloop.process.errors import InvalidEvent, Retriable
from services.control import metrics
from services.control.adapters.store import READER, EventStore, read_positions

NAME = "control"
_POLL_S = 0.1
Noticed = Callable[[Connection, Sequence[Envelope[Any]]], None]
"""Called in the transaction that stores new events."""


@dataclass
class _Rebuild:
    """A caller that waits until the read model is rebuilt."""

    done: threading.Event
    events: int = 0


class Reader:
    """Stores events and its position in one transaction, so that each event is stored once."""

    def __init__(
        self,
        engine: Engine,
        consumer: BatchConsumer,
        producer: BatchProducer,
        stop: threading.Event,
        batch: int,
        noticed: Noticed,
        wake: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._store = EventStore(engine)
        self._consumer = consumer
        self._producer = producer
        self._stop = stop
        self._batch = batch
        self._noticed = noticed
        self._wake = wake
        self._read: dict[TopicPartition, int] = {}
        self._caught_up = threading.Event()
        self._requests: list[_Rebuild] = []
        self._rebuilding: list[_Rebuild] = []
        self._log = log.get(__name__)

    def caught_up(self) -> bool:
        """Return whether it has read everything that existed at its start, or when the read model was last deleted."""
        return self._caught_up.is_set()

    def run(self) -> None:
        """Read until stopped."""
        try:
            self._seek(read_positions(self._engine, READER))
            while not self._stop.is_set():
                if self._requests:
                    self._start_rebuild()
                self._store_records(self._consumer.poll(self._batch, _POLL_S))
                self._check_caught_up()
        finally:
            self._consumer.close()
            self._producer.close()

    def rebuild(self, timeout_s: float) -> int:
        """Delete the read model, read all events again, and return their number.

        Raises:
            Retriable: it takes longer than ``timeout_s``; it continues nevertheless.
        """
        rebuild = _Rebuild(threading.Event())
        self._requests.append(rebuild)
        if not rebuild.done.wait(timeout_s):
            raise Retriable(f"the read model is still being rebuilt after {timeout_s:.0f} s; the rebuild continues")
        return rebuild.events

    def _seek(self, read: Mapping[TopicPartition, int]) -> None:
        first = dict.fromkeys(self._consumer.assignment(), 0)
        self._read = {**first, **{partition: offset for partition, offset in read.items() if partition in first}}
        self._consumer.seek(self._read)
        self._ends = dict(self._consumer.end_offsets())
        self._check_caught_up()

    def _start_rebuild(self) -> None:
        self._caught_up.clear()
        requests, self._requests = self._requests, []
        self._rebuilding += requests
        with self._engine.begin() as connection:
            self._store.forget(connection)
        self._seek({})

    def _check_caught_up(self) -> None:
        if self._caught_up.is_set() or any(self._read[partition] < end for partition, end in self._ends.items()):
            return
        self._caught_up.set()
        waiting, self._rebuilding = self._rebuilding, []
        for rebuild in waiting:
            rebuild.events = self._store.count()
            rebuild.done.set()
        self._wake()

    def _store_records(self, records: Sequence[Record]) -> None:
        if not records:
            return
        read = {TopicPartition(record.topic, record.partition): record.offset + 1 for record in records}
        events = [event for record in records if (event := self._event(record)) is not None]
        self._producer.flush()
        with self._engine.begin() as connection:
            new = self._store.add(connection, events, read)
            self._noticed(connection, new)
        self._read.update(read)
        self._commit(read)
        for event in new:
            metrics.EVENTS.add(type=event.type)
        self._wake()

    def _commit(self, read: Mapping[TopicPartition, int]) -> None:
        """Commit only for monitoring of the group's lag; the reader's own position is in the database."""
        try:
            self._consumer.commit(read)
        except Retriable as error:
            self._log.warning("commit-refused", problem=str(error))

    def _event(self, record: Record) -> Envelope[Any] | None:
        try:
            return decode(record)
        except InvalidEvent as error:
            metrics.REFUSED.add(reason=error.reason)
            self._producer.send([dead_letter_for_error(record, error, NAME)])
            return None
