"""Handlers of the features service's input records; the table at the end maps messages to functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from google.protobuf.message import Message

from driftloop.bus.ports import Record, TopicPartition
from driftloop.contracts.ingestion_pb2 import RowsAccepted, WatermarkAdvanced
from driftloop.events.arrow_rows import read_rows
from driftloop.events.envelope import from_record
from driftloop.process.errors import InvalidEvent
from driftloop.runner.loop_positions import EVERYTHING, LoopPositions
from services.features.domain.events import Arrived
from services.features.domain.loop_run import LoopRun
from services.features.domain.views import Feed

TOPIC = "ingestion.rows-accepted.v1"
Handler = Callable[[Any, LoopRun, int], None]


def handle(record: Record, runs: Mapping[str, LoopRun], positions: LoopPositions = EVERYTHING) -> None:
    """Apply a record to its loop. Skips records of loops that do not run here, and those that the loop has read.

    Raises:
        InvalidEvent: the record cannot be read.
    """
    message: Any = from_record(record, list(HANDLERS)).data
    run = runs.get(message.loop)
    if run is not None and positions.is_new(
        message.loop, TopicPartition(record.topic, record.partition), record.offset
    ):
        HANDLERS[type(message)](message, run, record.partition)


def rows_accepted(message: RowsAccepted, run: LoopRun, partition: int) -> None:
    """Add rows of one event type, with their entities."""
    batch = read_rows(message.rows, message.num_rows)
    positions = {tuple(entity.join_keys): np.array(entity.positions, np.int64) for entity in message.entities}
    if any(((at < 0) | (at >= batch.num_rows)).any() for at in positions.values()):
        raise InvalidEvent("malformed-rows", f"{message.event_type}: a position is outside the {batch.num_rows} rows")
    try:
        run.rows(partition, Arrived(batch), {Feed(message.event_type, keys): at for keys, at in positions.items()})
    except (pa.ArrowException, KeyError) as error:
        raise InvalidEvent("malformed-rows", f"{message.event_type}: {error}") from error


def watermark_advanced(message: WatermarkAdvanced, run: LoopRun, partition: int) -> None:
    """Record the loop's watermark."""
    run.watermark(partition, message.watermark_ms)


HANDLERS: Mapping[type[Message], Handler] = {
    RowsAccepted: rows_accepted,
    WatermarkAdvanced: watermark_advanced,
}
