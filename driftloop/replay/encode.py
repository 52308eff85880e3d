"""Turns a table of events into records, once, before a replay starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import orjson
import pyarrow as pa
from google.protobuf.message import Message
from numpy.typing import NDArray

from driftloop.bus.ports import Outgoing
from driftloop.loop.definition import EventDefinition

Wire = Literal["protobuf", "json"]
WATERMARK_HEADER = "driftloop-watermark"


@dataclass(frozen=True)
class Encoded:
    """Records of one event type in the order in which they are sent; ``time_ms`` int64 [n], at which event time."""

    records: list[Outgoing]
    time_ms: NDArray[np.int64]

    def between(self, start_ms: int, end_ms: int) -> list[Outgoing]:
        """Records that are sent in [start, end)."""
        first, last = np.searchsorted(self.time_ms, [start_ms, end_ms])
        return self.records[first:last]


def encode(topic: str, event: EventDefinition, message: type[Message], table: pa.Table, wire: Wire) -> Encoded:
    """Serialise every row, keyed by the event's key; a null is a field left out."""
    rows = table.to_pylist()
    content = _protobuf(message, rows) if wire == "protobuf" else [orjson.dumps(_present(row)) for row in rows]
    header = (("content-type", f"application/{wire}".encode()),)
    keys = [str(row[event.key]).encode() for row in rows]
    records = [Outgoing(topic, value, key, header) for value, key in zip(content, keys, strict=True)]
    return Encoded(records, table.column(event.time).to_numpy().astype(np.int64))


def watermark(topic: str, partition: int, watermark_ms: int) -> Outgoing:
    """A producer's own watermark for one partition of a raw topic."""
    return Outgoing(topic, None, None, ((WATERMARK_HEADER, str(watermark_ms).encode()),), partition)


def _protobuf(message: type[Message], rows: list[dict[str, Any]]) -> list[bytes]:
    return [message(**_present(row)).SerializeToString() for row in rows]


def _present(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}
