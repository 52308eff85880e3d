"""An index of the prediction log: finds a prediction's position by id, and reads it there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from google.protobuf.message import DecodeError
from sqlalchemy import Engine, delete, select

from driftloop.bus.ports import BatchConsumer, Record, TopicPartition
from driftloop.contracts import predictions_pb2 as messages
from driftloop.events.message_check import name_problem
from driftloop.process import log
from driftloop.process.errors import Retriable
from driftloop.runner.tables import insert, reading
from services.control import metrics
from services.control.adapters.store import read_positions, store_positions
from services.control.adapters.tables import predictions

TOPIC = "predictions.served.v1"
READER = "predictions"

_SERVED = messages.PredictionServed.DESCRIPTOR.full_name.encode()
_BATCH = 20_000
_INSERT = 5_000
Fetch = Callable[[TopicPartition, int], Record | None]
"""Returns the record at an offset; None if the log no longer has it."""


class PredictionIndex:
    """Follows the prediction log on a thread of its own, and answers on any thread.

    ``oldest`` is the offset of each partition's oldest record: entries before it are deleted.
    """

    def __init__(
        self,
        engine: Engine,
        consumer: BatchConsumer,
        fetch: Fetch,
        oldest: Mapping[TopicPartition, int],
        stop: threading.Event,
    ) -> None:
        self._engine = engine
        self._consumer = consumer
        self._fetch = fetch
        self._stop = stop
        self._advanced = threading.Condition()
        self._log = log.get(__name__)
        stored = read_positions(engine, READER)
        self._read = {partition: max(first, stored.get(partition, 0)) for partition, first in oldest.items()}
        self._forget(oldest)

    def run(self) -> None:
        self._consumer.seek(self._read)
        try:
            while not self._stop.is_set():
                if records := self._consumer.poll(_BATCH, 0.25):
                    self.add(records)
        finally:
            self._consumer.close()

    def add(self, records: Sequence[Record]) -> None:
        """Store the positions of these predictions. Other messages only advance the reader's position.

        A record whose id cannot be read is only counted: the outcome join writes its dead letter.
        """
        read: dict[TopicPartition, int] = {}
        rows = []
        for record in records:
            read[TopicPartition(record.topic, record.partition)] = record.offset + 1
            if record.header("ce_type") != _SERVED:
                continue
            if name := _prediction_id(record):
                rows.append({"prediction_id": name, "partition": record.partition, "offset": record.offset})
            else:
                metrics.UNINDEXED.add()
        metrics.INDEXED.add(len(rows))
        with self._engine.begin() as connection:
            for start in range(0, len(rows), _INSERT):
                connection.execute(
                    insert(connection, predictions).on_conflict_do_nothing(), rows[start : start + _INSERT]
                )
            store_positions(connection, READER, read)
        with self._advanced:
            self._read = {**self._read, **read}
            self._advanced.notify_all()

    def find(self, prediction_id: str, timeout_s: float) -> messages.PredictionServed | None:
        """Return a prediction, or None if the log does not have it or its record cannot be read.

        Raises:
            Retriable: the index has not read the whole log within ``timeout_s``.
        """
        position = self._position(prediction_id)
        if position is None:
            self._catch_up(timeout_s)
            position = self._position(prediction_id)
        record = None if position is None else self._fetch(*position)
        if record is None:
            return None
        try:
            return messages.PredictionServed.FromString(record.value or b"")
        except DecodeError as error:
            self._log.error("prediction-unreadable", prediction_id=prediction_id, problem=str(error))
            return None

    def _forget(self, oldest: Mapping[TopicPartition, int]) -> None:
        with self._engine.begin() as connection:
            for partition, first in oldest.items():
                deleted = (predictions.c.partition == partition.partition) & (predictions.c.offset < first)
                connection.execute(delete(predictions).where(deleted))

    def _position(self, prediction_id: str) -> tuple[TopicPartition, int] | None:
        """Return where the prediction with this id is, or the newest one for the request with this id."""
        by_id = select(predictions).where(predictions.c.prediction_id == prediction_id)
        of_request = predictions.c.prediction_id.startswith(f"{prediction_id}.", autoescape=True)
        by_request = select(predictions).where(of_request).order_by(predictions.c.offset.desc()).limit(1)
        with reading(self._engine) as connection:
            row = connection.execute(by_id).first() or connection.execute(by_request).first()
        return None if row is None else (TopicPartition(TOPIC, row.partition), row.offset)

    def _catch_up(self, timeout_s: float) -> None:
        ends = self._consumer.end_offsets()

        def is_caught_up() -> bool:
            return all(self._read[partition] >= end for partition, end in ends.items())

        with self._advanced:
            if not self._advanced.wait_for(is_caught_up, timeout_s):
                raise Retriable("the index of predictions has not read the whole log yet; try again")


def _prediction_id(record: Record) -> str:
    """Return the id in a record's header; empty if it cannot be used."""
    try:
        name = (record.header("ce_id") or b"").decode()
    except UnicodeDecodeError:
        return ""
    return "" if name_problem(name) else name
