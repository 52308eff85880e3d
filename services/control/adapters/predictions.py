"""Where each prediction stands in the prediction log, and the prediction itself, read from there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Engine, delete, select

from driftloop.bus.ports import BatchConsumer, Record, TopicPartition
from driftloop.contracts import predictions_pb2 as messages
from driftloop.process.errors import Retriable
from driftloop.runner.tables import READS, insert
from services.control.adapters.store import keep_positions, read_positions
from services.control.adapters.tables import predictions

TOPIC = "predictions.served.v1"
READER = "predictions"

_SERVED = messages.PredictionServed.DESCRIPTOR.full_name.encode()
_BATCH = 20_000
_INSERT = 5_000
Fetch = Callable[[TopicPartition, int], Record | None]
"""The record at an offset; None where the log holds it no more."""


class PredictionIndex:
    """Follows the prediction log from a thread of its own, and answers from any.

    ``oldest`` is the offset of each partition's oldest record: what stood before it is forgotten.
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
        self._moved = threading.Condition()
        kept = read_positions(engine, READER)
        self._read = {place: max(first, kept.get(place, 0)) for place, first in oldest.items()}
        self._forget(oldest)

    def run(self) -> None:
        """Follow the log until stopped."""
        self._consumer.seek(self._read)
        try:
            while not self._stop.is_set():
                if records := self._consumer.poll(_BATCH, 0.25):
                    self.take(records)
        finally:
            self._consumer.close()

    def take(self, records: Sequence[Record]) -> None:
        """Note where these predictions stand; other messages of the log only move the place."""
        read: dict[TopicPartition, int] = {}
        rows = []
        for record in records:
            read[TopicPartition(record.topic, record.partition)] = record.offset + 1
            head = dict(record.headers)
            if head.get("ce_type") == _SERVED:
                name = head["ce_id"].decode()
                rows.append({"prediction_id": name, "partition": record.partition, "offset": record.offset})
        with self._engine.begin() as connection:
            for at in range(0, len(rows), _INSERT):
                connection.execute(insert(connection, predictions).on_conflict_do_nothing(), rows[at : at + _INSERT])
            keep_positions(connection, READER, read)
        with self._moved:
            self._read = {**self._read, **read}
            self._moved.notify_all()

    def find(self, prediction_id: str, timeout_s: float) -> messages.PredictionServed | None:
        """See `services.control.ports.Predictions`."""
        place = self._place(prediction_id)
        if place is None:
            self._catch_up(timeout_s)
            place = self._place(prediction_id)
        record = None if place is None else self._fetch(*place)
        if record is None:
            return None
        return messages.PredictionServed.FromString(record.value or b"")

    def _forget(self, oldest: Mapping[TopicPartition, int]) -> None:
        with self._engine.begin() as connection:
            for place, first in oldest.items():
                gone = (predictions.c.partition == place.partition) & (predictions.c.offset < first)
                connection.execute(delete(predictions).where(gone))

    def _place(self, prediction_id: str) -> tuple[TopicPartition, int] | None:
        query = select(predictions).where(predictions.c.prediction_id == prediction_id)
        with self._engine.connect() as connection:
            row = connection.execution_options(**READS).execute(query).first()
        return None if row is None else (TopicPartition(TOPIC, row.partition), row.offset)

    def _catch_up(self, timeout_s: float) -> None:
        ends = self._consumer.end_offsets()

        def there() -> bool:
            return all(self._read[place] >= end for place, end in ends.items())

        with self._moved:
            if not self._moved.wait_for(there, timeout_s):
                raise Retriable("the index of predictions has not read the whole log yet; ask again")
