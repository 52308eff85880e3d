"""Ships the prediction log from disk to Kafka, and the watermark after it.

Delivery is at least once: a position is stored only after Kafka acknowledged everything before it; the prediction id
makes a record unique. A watermark is sent after all records that the spool had when the watermark arrived, and its
offset is committed after that.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from driftloop.bus.ports import BatchConsumer, BatchProducer, Outgoing, Record, TopicPartition
from driftloop.contracts import features_pb2, predictions_pb2
from driftloop.contracts.topics import topic_of
from driftloop.events import ids
from driftloop.events.envelope import Envelope, from_record, headers_of
from driftloop.process import log
from driftloop.process.clock import Clock
from driftloop.process.errors import InvalidEvent, Retriable
from services.serving import metrics
from services.serving.ports import SpoolPositions, SpoolSource

SOURCE = "/driftloop/serving"
TOPIC = topic_of(predictions_pb2.PredictionServed).name
_BUSY_POLL_S = 0.005
_IDLE_POLL_S = 0.1
_BUSY_FOR_S = 1.0
_PAUSE_S = 0.5


class Shipper:
    """Runs in its own thread. `step` ships all spools once."""

    def __init__(
        self,
        spools: Mapping[str, SpoolSource],
        positions: SpoolPositions,
        consumer: BatchConsumer,
        producer: BatchProducer,
        clock: Clock,
        stop: threading.Event,
    ) -> None:
        self._spools = spools
        self._store = positions
        self._positions = {loop: positions.load(loop) for loop in spools}
        self._consumer = consumer
        self._producer = producer
        self._clock = clock
        self._stop = stop
        self._owed: dict[str, int] = {}
        self._offsets: dict[TopicPartition, int] = {}
        self._busy_until = 0.0
        self._log = log.get(__name__)

    def run(self) -> None:
        """Ship until the stop event is set, then ship the rest."""
        try:
            while not self._stop.is_set():
                self._ship_with_retry(_BUSY_POLL_S if self._clock.monotonic_s() < self._busy_until else _IDLE_POLL_S)
            self._ship_with_retry(0.0)
        finally:
            self._consumer.close()
            self._producer.close()

    def step(self, timeout_s: float) -> int:
        """Wait for a watermark up to the timeout, then ship all spools; return the number of predictions.

        Raises:
            Retriable: the broker did not acknowledge; the next step sends it again.
        """
        self._take(self._consumer.poll(500, timeout_s))
        owed = dict(self._owed)
        shipped = sum(self._ship(loop) for loop in self._spools)
        if owed:
            self._send_watermarks(owed)
        if shipped:
            self._busy_until = self._clock.monotonic_s() + _BUSY_FOR_S
        return shipped

    def _ship_with_retry(self, timeout_s: float) -> None:
        try:
            self.step(timeout_s)
        except Retriable as error:
            metrics.SHIP_FAILED.add()
            self._log.warning("shipping-waits", problem=str(error))
            self._stop.wait(_PAUSE_S)

    def _take(self, records: Sequence[Record]) -> None:
        for record in records:
            self._offsets[TopicPartition(record.topic, record.partition)] = record.offset + 1
            try:
                advanced: Any = from_record(record, [features_pb2.WatermarkAdvanced]).data
            except InvalidEvent as error:
                self._log.error("not-a-watermark", topic=record.topic, offset=record.offset, problem=str(error))
                continue
            if advanced.loop in self._spools:
                self._owed[advanced.loop] = max(self._owed.get(advanced.loop, 0), advanced.watermark_ms)

    def _ship(self, loop: str) -> int:
        """Ship everything after the stored position."""
        spool = self._spools[loop]
        started = self._clock.monotonic_s()
        shipped = 0
        while True:
            records, after = spool.read(self._positions[loop])
            if not records:
                break
            predictions = [predictions_pb2.PredictionServed.FromString(record) for record in records]
            pairs = zip(predictions, records, strict=True)
            self._producer.send([_outgoing(prediction, record) for prediction, record in pairs])
            self._producer.flush()
            kept = spool.drop_complete(after)
            self._store.save(loop, kept)
            self._positions[loop] = kept
            _count(loop, predictions)
            shipped += len(records)
        if shipped:
            metrics.SHIP_SECONDS.record(self._clock.monotonic_s() - started, loop=loop)
        return shipped

    def _send_watermarks(self, owed: Mapping[str, int]) -> None:
        for loop, watermark_ms in owed.items():
            self._producer.send(self._watermark_records(loop, watermark_ms))
        self._producer.flush()
        for loop, watermark_ms in owed.items():
            metrics.WATERMARK.set(watermark_ms, loop=loop)
        self._owed.clear()
        self._consumer.commit(self._offsets)

    def _watermark_records(self, loop: str, watermark_ms: int) -> list[Outgoing]:
        event_id = ids.event_id("prediction-watermark", loop, watermark_ms)
        data = predictions_pb2.PredictionWatermark(loop=loop, watermark_ms=watermark_ms)
        event: Envelope[Any] = Envelope(
            event_id,
            SOURCE,
            data.DESCRIPTOR.full_name,
            loop,
            watermark_ms,
            self._clock.now_ms(),
            event_id,
            None,
            None,
            data,
        )
        value, headers = data.SerializeToString(deterministic=True), headers_of(event)
        return [
            Outgoing(TOPIC, value, loop.encode(), headers, partition)
            for partition in range(self._producer.partitions(TOPIC))
        ]


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
    for each in predictions:
        purpose = "probe" if each.purpose == predictions_pb2.PROBE else "client"
        group = (each.release_id, each.arm, purpose)
        groups[group] = groups.get(group, 0) + 1
        if purpose == "client":
            for view in each.stale_views:
                metrics.STALE_VIEWS.add(loop=loop, view=view)
    for (release, arm, purpose), count in groups.items():
        metrics.SHIPPED.add(count, loop=loop, release=release, arm=arm, purpose=purpose)
    newest = predictions[-1]
    if newest.feature_watermark_ms:
        metrics.FEATURE_AGE.set((newest.decision_time_ms - newest.feature_watermark_ms) / 1000.0, loop=loop)
