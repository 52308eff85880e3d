"""The outcome join on an in-memory broker, with records like those of ingestion, serving and the registry."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from google.protobuf.message import Message
from sqlalchemy import select, update

from driftloop.bus.partition import partition_of
from driftloop.bus.ports import BatchConsumer, Outgoing, Record, TopicPartition
from driftloop.contracts import ingestion_pb2 as ingestion
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import predictions_pb2 as predictions
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import training_pb2 as training
from driftloop.contracts.topics import declared, topic_of
from driftloop.events.envelope import Draft, Envelope, from_draft, from_record, headers_of
from driftloop.loop import LoopDefinition
from driftloop.process.errors import BundleError
from driftloop.runner.tables import open_database
from services.monitoring.adapters.tables import checkpoint_table, metadata
from services.monitoring.bootstrap import TOPICS, assemble
from services.monitoring.config import MonitoringSettings
from services.monitoring.domain.psi import Reference
from services.monitoring.joiner import Joiner
from services.monitoring.messages import OUTCOME_COLUMNS
from services.monitoring.ports import ReleaseInfo
from tests.helpers.clock import FakeClock
from tests.helpers.fuse import Killed
from tests.helpers.loop_definition import loop_definition
from tests.helpers.memory_broker import MemoryBroker
from tests.unit.monitoring.rows import DAY, DIGEST, HOUR, reference

PARTITIONS = 2


SECTIONS: dict[str, Any] = {
    "prediction": {"inputs": {"x": {"type": "double"}, "colour": {"type": "string"}}},
    "monitoring": {
        "block": "1d",
        "slices": {"colour": {"input": "colour"}},
        "detectors": {
            "calibration": {"kind": "block_residual", "mode": "trigger", "threshold": 4.0, "blocks": 4},
            "shift": {"kind": "psi", "mode": "watch", "threshold": 0.5},
        },
    },
}


def definition_of_classes(*classes: str) -> LoopDefinition:
    """Return the same loop with a label of classes."""
    return loop_definition(**SECTIONS, label={"kind": "multiclass", "classes": classes})


def definition(loop: str = "orders") -> LoopDefinition:
    """Return a loop with windows of a day and a horizon of 36 hours."""
    return loop_definition(loop, **SECTIONS)


@dataclass
class FakeReferences:
    """References by release; those in ``missing`` cannot be opened."""

    digest: str = DIGEST
    missing: set[str] = field(default_factory=set)

    def open(self, release: ReleaseInfo) -> Reference:
        if release.release_id in self.missing:
            raise BundleError(f"{release.uri}: gone")
        return replace(reference(release.release_id), input_digest=self.digest)


def outgoing(
    message: Message, loop: str, *, key: str | None = None, partition: int | None = None, topic: str | None = None
) -> Outgoing:
    """The record of a message."""
    event = from_draft(Draft("id", loop, 0, message), source="test", wall_time_ms=0, cause=None, traceparent=None)
    name = topic or topic_of(type(message)).name
    body = message.SerializeToString(deterministic=True)
    return Outgoing(name, body, (key or loop).encode(), headers_of(event), partition)


def served(
    key: str,
    hour: float,
    score: float = 0.5,
    *,
    name: str = "",
    loop: str = "orders",
    release: str = "r-1",
    challenger: tuple[str, float] | None = None,
    x: float = 0.0,
    colour: str = "red",
    purpose: predictions.Purpose = predictions.CLIENT,
    digest: str = DIGEST,
    classes: Sequence[float] = (),
) -> Outgoing:
    """A logged prediction; ``classes`` are the champion's score of each."""
    scores = [predictions.ReleaseScore(release_id=release, role="champion", score=score, class_scores=classes)]
    if challenger is not None:
        scores.append(predictions.ReleaseScore(release_id=challenger[0], role="challenger", score=challenger[1]))
    message = predictions.PredictionServed(
        loop=loop,
        prediction_id=name or f"{loop}-{key}",
        key=key,
        decision_time_ms=round(hour * HOUR),
        release_id=release,
        arm="champion",
        score=score,
        scores=scores,
        input_digest=digest,
        numeric=[x],
        categorical=[colour],
        purpose=purpose,
    )
    return outgoing(message, loop, key=key)


@dataclass
class Raw:
    """The raw topic of outcomes: numbers the rows."""

    loop: str = "orders"
    _offset: Any = field(default_factory=itertools.count)

    def row(self, key: str, hour: float, value: float = 1.0, arrival_hour: float = -1e6) -> dict[str, Any]:
        offset = next(self._offset)
        return {
            "event_id": f"e-{offset}",
            "event_time_ms": round(hour * HOUR),
            "arrival_watermark_ms": round(arrival_hour * HOUR),
            "source_topic": "returned",
            "source_partition": 0,
            "source_offset": offset,
            "key": key,
            "value": value,
        }

    def accepted(self, rows: Iterable[Mapping[str, Any]]) -> list[Outgoing]:
        """Return records like ingestion's: one batch per partition of the outcome topic."""
        records = []
        by_partition: dict[int, list[Mapping[str, Any]]] = {}
        for row in rows:
            by_partition.setdefault(partition_of(row["key"].encode(), PARTITIONS), []).append(row)
        for partition, part in sorted(by_partition.items()):
            message = ingestion.OutcomesAccepted(
                loop=self.loop, event_type="returned", num_rows=len(part), rows=arrow(part)
            )
            records.append(outgoing(message, self.loop, partition=partition))
        return records


def arrow(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Rows as an Arrow stream."""
    types = [pa.string(), pa.int64(), pa.int64(), pa.string(), pa.int32(), pa.int64(), pa.string(), pa.float64()]
    schema = pa.schema(list(zip(OUTCOME_COLUMNS, types, strict=True)))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as stream:
        stream.write_batch(pa.RecordBatch.from_pylist(list(rows), schema))
    return bytes(sink.getvalue())


def watermark(hour: float, loop: str = "orders") -> list[Outgoing]:
    """Both watermarks, for every partition."""
    at = round(hour * HOUR)
    marks: list[Message] = [
        ingestion.OutcomeWatermark(loop=loop, watermark_ms=at),
        predictions.PredictionWatermark(loop=loop, watermark_ms=at),
    ]
    return [outgoing(mark, loop, partition=part) for mark in marks for part in range(PARTITIONS)]


def route(
    champion: str, challenger: str = "", loop: str = "orders", uri: str = "/bundles/b", digest: str = "d"
) -> Outgoing:
    """A route that names releases, all with the same bundle."""
    message = registry.RouteChanged(loop=loop, epoch=1)
    for name, ref in ((champion, message.champion), (challenger, message.challenger)):
        if name:
            ref.CopyFrom(registry.ReleaseRef(release_id=name, bundle=training.Bundle(uri=uri, digest=digest)))
    return outgoing(message, loop)


class StopWhenIdle:
    """A consumer that sets the stop event when nothing is left to read, or raises `Killed` after some polls."""

    def __init__(self, inner: BatchConsumer, stop: threading.Event, killed_at: int | None = None) -> None:
        self._inner = inner
        self._stop = stop
        self._left = killed_at
        self.commits: list[dict[TopicPartition, int]] = []

    def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise Killed
        records = self._inner.poll(max_records, timeout_s)
        if not records:
            self._stop.set()
        return records

    def assignment(self) -> frozenset[TopicPartition]:
        return self._inner.assignment()

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        self._inner.seek(positions)

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Record the call; a restart must use the positions in the database."""
        self.commits.append(dict(positions))

    def end_offsets(self) -> Mapping[TopicPartition, int]:
        return self._inner.end_offsets()

    def topic_ids(self) -> Mapping[str, str]:
        return self._inner.topic_ids()

    def close(self) -> None:
        self._inner.close()


class JoinerHarness:
    """A broker and a database on which a join can be started again and again."""

    def __init__(self, folder: Path, loops: Sequence[LoopDefinition] | None = None, digest: str = DIGEST) -> None:
        self.broker = MemoryBroker()
        for topic in declared().values():
            self.broker.create_topic(topic.name, topic.partitions)
            self.broker.create_topic(f"{topic.name}.dlq", 1)
        self.references = FakeReferences(digest)
        self.clock = FakeClock()
        self.settings = MonitoringSettings(home=folder, poll_timeout_s=0.01)
        self._loops = list(loops or [definition()])
        self._url = self.settings.database_url("monitoring")

    def send(self, *records: Outgoing) -> None:
        """Write records."""
        self.broker.append(records)

    def run(
        self, poll_records: int = 5000, killed_at: int | None = None, loops: Sequence[LoopDefinition] | None = None
    ) -> list[dict[TopicPartition, int]]:
        """Run a join on the stored state until it has read everything or is killed; return its commits."""
        stop = threading.Event()
        consumer = StopWhenIdle(self.broker.batch_consumer(TOPICS, "nobody"), stop, killed_at)
        with self.joiner(consumer, stop, poll_records, loops) as joiner:
            asyncio.run(joiner.run())
        return consumer.commits

    def forget_loops(self) -> None:
        """Delete the states of all loops from the checkpoint, as older versions did with a loop that did not run."""
        engine = open_database(self._url, metadata)
        with engine.begin() as connection:
            body = json.loads(connection.execute(select(checkpoint_table.c.body)).scalar_one())
            connection.execute(update(checkpoint_table).values(body=json.dumps({**body, "loops": {}})))
        engine.dispose()

    @contextmanager
    def joiner(
        self,
        consumer: BatchConsumer,
        stop: threading.Event,
        poll_records: int = 5000,
        loops: Sequence[LoopDefinition] | None = None,
    ) -> Iterator[Joiner]:
        """Build a join that continues from the stored state."""
        engine = open_database(self._url, metadata)
        try:
            yield assemble(
                self._loops if loops is None else loops,
                engine=engine,
                consumer=consumer,
                producer=self.broker.lifecycle_producer(),
                references=self.references,
                settings=self.settings.model_copy(update={"poll_records": poll_records}),
                stop=stop,
                clock=self.clock,
            )
        finally:
            engine.dispose()

    def windows(self, loop: str = "orders") -> list[Envelope[Any]]:
        """The closed windows that were published."""
        records = self.broker.records("monitoring.window-closed.v1")
        events = [from_record(record, [monitoring.WindowClosed]) for record in records]
        return [event for event in events if event.loop == loop]

    def restated(self, loop: str = "orders") -> list[Envelope[Any]]:
        """The restated windows that were published."""
        records = self.broker.records("monitoring.window-restated.v1")
        events = [from_record(record, [monitoring.WindowRestated]) for record in records]
        return [event for event in events if event.loop == loop]


def day(number: int, hour: float = 0.0) -> float:
    """Return an hour of a day in hours of event time."""
    return number * DAY / HOUR + hour
