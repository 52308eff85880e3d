"""Ships the prediction log from disk to Kafka, and the watermark after it.

A record that the broker will never accept becomes a dead letter, so it holds up nothing.
Delivery is at least once: a position is stored only after Kafka acknowledged everything before it; the prediction id
makes a record unique. A watermark is sent after all records that the spool had when the watermark arrived, and its
offset is committed after that. Before its first watermark, each start joins the prediction log as a writer
(`services/serving/domain/writers.py`).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.message import DecodeError, Message

from driftloop.bus.dead_letters import dead_letter, dead_letter_for_error
from driftloop.bus.partition import partition_of
from driftloop.bus.ports import (
    BatchProducer,
    Outgoing,
    PositionedConsumer,
    Record,
    RecordsRefused,
    TopicPartition,
)
from driftloop.contracts import features_pb2, predictions_pb2
from driftloop.contracts.topics import topic_of
from driftloop.events import ids
from driftloop.events.envelope import Envelope, from_record, headers_of
from driftloop.process import log
from driftloop.process.clock import Clock
from driftloop.process.errors import InvalidEvent, Retriable
from driftloop.runner.batch_loop import BatchLoop, Flush, LoopOptions, Positions, Processor
from driftloop.runner.metrics import DEAD_LETTERED as EVENTS_DEAD_LETTERED
from services.serving import metrics
from services.serving.log_writers import LogWriters
from services.serving.ports import SpoolPositions, SpoolSource

SERVICE = "serving"
SOURCE = f"/driftloop/{SERVICE}"
TOPIC = topic_of(predictions_pb2.PredictionServed).name
_POLL_RECORDS = 500
_BUSY_POLL_S = 0.005
_IDLE_POLL_S = 0.1
_BUSY_FOR_S = 1.0
_PAUSE_S = 0.5
_KEPT_BYTES = 65_536
"""Bytes of a refused record in its dead letter; its file has all."""


class Shipper(Processor[Sequence[Record]]):
    """Reads the feature watermarks; each flush ships all spools and then the watermarks that were read before it."""

    def __init__(
        self,
        spools: Mapping[str, SpoolSource],
        positions: SpoolPositions,
        writers: LogWriters,
        consumer: PositionedConsumer,
        producer: BatchProducer,
        clock: Clock,
        stop: threading.Event,
    ) -> None:
        self._spools = spools
        self._writers = writers
        self._store = positions
        self._positions = {loop: positions.load(loop) for loop in spools}
        self._consumer = consumer
        self._producer = producer
        self._clock = clock
        self._stop = stop
        self._dead_letters: list[Outgoing] = []
        self._offsets: dict[TopicPartition, int] = {}
        self._busy_until_s = clock.monotonic_s() + _BUSY_FOR_S  # joins at once
        self._log = log.get(__name__)

    def read(self) -> Sequence[Record]:
        is_busy = self._clock.monotonic_s() < self._busy_until_s
        return self._consumer.poll(_POLL_RECORDS, _BUSY_POLL_S if is_busy else _IDLE_POLL_S)

    def process(self, batch: Sequence[Record]) -> None:
        for record in batch:
            self._offsets[TopicPartition(record.topic, record.partition)] = record.offset + 1
            try:
                advanced: Any = from_record(record, [features_pb2.WatermarkAdvanced]).data
            except InvalidEvent as error:
                EVENTS_DEAD_LETTERED.add(service=SERVICE, reason=error.reason)
                self._dead_letters.append(dead_letter_for_error(record, error, SERVICE))
                continue
            self._writers.see(advanced.loop, advanced.watermark_ms)

    def due_flush(self) -> Flush | None:
        return self._join_and_ship

    def last_flush(self) -> Flush | None:
        self.process(self._consumer.poll(_POLL_RECORDS, 0.0))
        return self._ship_all

    def leave(self) -> None:
        """Ship everything, and close the writers. Nothing may be answered any more."""
        for loop in self._spools:
            self._ship(loop)
        self._send_to_all(self._writers.leaves())

    def wait_after(self, error: Retriable) -> None:
        """Log an error and pause. The positions and the watermarks are unchanged, so the next step sends again."""
        metrics.SHIP_FAILED.add()
        self._log.warning("shipping-waits", problem=str(error))
        self._stop.wait(_PAUSE_S)

    def _join_and_ship(self) -> Positions:
        joins = self._writers.due_joins()
        if joins:
            self._send_to_all(joins)
            self._writers.joined(self._consumer.end_offsets())
        self._writers.catch_up(self._consumer.positions)
        return self._ship_all()

    def _ship_all(self) -> Positions:
        if sum(self._ship(loop) for loop in self._spools):
            self._busy_until_s = self._clock.monotonic_s() + _BUSY_FOR_S
        self._send_results()
        return self._offsets

    def _ship(self, loop: str) -> int:
        """Ship everything after the stored position."""
        spool = self._spools[loop]
        began_s = self._clock.monotonic_s()
        shipped = 0
        while True:
            records, after = spool.read(self._positions[loop])
            if not records:
                break
            predictions = self._send(loop, records)
            kept = spool.drop_complete(after)
            self._store.save(loop, kept)
            self._positions[loop] = kept
            _count(loop, predictions)
            shipped += len(records)
        if shipped:
            metrics.SHIP_SECONDS.record(self._clock.monotonic_s() - began_s, loop=loop)
        return shipped

    def _send(self, loop: str, records: Sequence[bytes]) -> list[predictions_pb2.PredictionServed]:
        """Send records until each is acknowledged or a dead letter; return the acknowledged predictions."""
        outgoing: list[Outgoing] = []
        predictions = []
        for record in records:
            try:
                prediction = predictions_pb2.PredictionServed.FromString(record)
            except DecodeError as error:
                self._dead_letter(loop, Outgoing(TOPIC, record), "malformed-message", str(error))
                continue
            predictions.append(prediction)
            outgoing.append(_outgoing(prediction, record))
        try:
            self._producer.send(outgoing)
            self._producer.flush()
        except RecordsRefused as error:
            values = {record.value for record, _ in error.refused if not self._sent_alone(loop, record)}
            pairs = zip(predictions, outgoing, strict=True)
            predictions = [prediction for prediction, sent in pairs if sent.value not in values]
        return predictions

    def _sent_alone(self, loop: str, record: Outgoing) -> bool:
        """Send a record of a refused batch alone; return False if it became a dead letter."""
        try:
            self._producer.send([record])
            self._producer.flush()
        except RecordsRefused as error:
            self._dead_letter(loop, record, "refused-by-broker", error.refused[0][1])
            return False
        return True

    def _dead_letter(self, loop: str, record: Outgoing, reason: str, detail: str) -> None:
        """Keep a record in a file, and send a dead letter with its beginning and where the file is.

        The dead letter has no headers of the record, because they may be what is too large.
        """
        content, key = record.value or b"", (record.key or b"")[:_KEPT_BYTES]
        digest = hashlib.sha256(content).hexdigest()
        path = self._spools[loop].keep_refused(content, digest)
        partition = partition_of(key, self._producer.partitions(TOPIC))
        letter = dead_letter(
            Record(TOPIC, partition, 0, key, content[:_KEPT_BYTES]),
            consumer=SERVICE,
            reason=reason,
            detail=f"{detail}; the whole record of {len(content)} bytes is in {path}",
            source=f"{TOPIC}/{partition}/{digest}",
            sha256=digest,
        )
        self._producer.send([letter])
        self._producer.flush()
        metrics.DEAD_LETTERED.add(loop=loop, reason=reason)
        self._log.error("dead-letter", loop=loop, reason=reason, detail=detail, file=str(path))

    def _send_results(self) -> None:
        """Send what follows from the records that were read: watermarks, and dead letters of unreadable ones."""
        watermarks = self._writers.due_watermarks()
        if not (watermarks or self._dead_letters):
            return
        self._producer.send(self._dead_letters)
        self._send_to_all(watermarks)
        self._dead_letters.clear()
        if watermarks:
            self._writers.written(watermarks)
        for mark in watermarks:
            metrics.WATERMARK.set(mark.watermark_ms, loop=mark.loop)

    def _send_to_all(self, messages: Sequence[Message]) -> None:
        """Send messages to every partition of the log, and wait until all are acknowledged."""
        partitions = range(self._producer.partitions(TOPIC))
        now_ms = self._clock.now_ms()
        self._producer.send([_in_band(message, now_ms, partition) for message in messages for partition in partitions])
        self._producer.flush()


def shipper_loop(
    spools: Mapping[str, SpoolSource],
    positions: SpoolPositions,
    writers: LogWriters,
    consumer: PositionedConsumer,
    producer: BatchProducer,
    clock: Clock,
    stop: threading.Event,
) -> BatchLoop:
    """Build the loop of the shipper. An error of the broker does not end it."""
    shipper = Shipper(spools, positions, writers, consumer, producer, clock, stop)
    options = LoopOptions(on_retriable=shipper.wait_after)
    return BatchLoop(shipper, consumer, stop, clock, options=options, resources=[producer])


def _in_band(message: Any, wall_time_ms: int, partition: int) -> Outgoing:
    """Return a record for one partition of the log. Its id is the same in all partitions."""
    if isinstance(message, predictions_pb2.PredictionWatermark):
        time_ms = message.watermark_ms
        event_id = ids.event_id("prediction-watermark", message.loop, time_ms, *filter(None, [message.writer]))
    else:
        time_ms = 0
        event_id = ids.event_id(message.DESCRIPTOR.full_name, message.loop, message.writer, message.start)
    event: Envelope[Any] = Envelope(
        id=event_id,
        source=SOURCE,
        type=message.DESCRIPTOR.full_name,
        loop=message.loop,
        time_ms=time_ms,
        wall_time_ms=wall_time_ms,
        correlation_id=event_id,
        causation_id=None,
        traceparent=None,
        data=message,
    )
    content = message.SerializeToString(deterministic=True)
    return Outgoing(TOPIC, content, message.loop.encode(), headers_of(event), partition)


def _outgoing(prediction: predictions_pb2.PredictionServed, content: bytes) -> Outgoing:
    event: Envelope[Any] = Envelope(
        id=prediction.prediction_id,
        source=SOURCE,
        type=prediction.DESCRIPTOR.full_name,
        loop=prediction.loop,
        time_ms=prediction.decision_time_ms,
        wall_time_ms=prediction.served_wall_time_ms,
        correlation_id=prediction.prediction_id,
        causation_id=None,
        traceparent=None,
        data=prediction,
    )
    return Outgoing(TOPIC, content, prediction.key.encode(), headers_of(event))


def _count(loop: str, predictions: Sequence[predictions_pb2.PredictionServed]) -> None:
    groups: dict[tuple[str, str, str], int] = {}
    for prediction in predictions:
        purpose = "probe" if prediction.purpose == predictions_pb2.PROBE else "client"
        group = (prediction.release_id, prediction.arm, purpose)
        groups[group] = groups.get(group, 0) + 1
        if purpose == "client":
            for view in prediction.stale_views:
                metrics.STALE_VIEWS.add(loop=loop, view=view)
    for (release, arm, purpose), count in groups.items():
        metrics.SHIPPED.add(count, loop=loop, release=release, arm=arm, purpose=purpose)
    newest = predictions[-1] if predictions else predictions_pb2.PredictionServed()
    if newest.feature_watermark_ms:
        metrics.FEATURE_AGE.set((newest.decision_time_ms - newest.feature_watermark_ms) / 1000.0, loop=loop)
