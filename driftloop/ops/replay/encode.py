"""Encodes a table of events as records, step by step."""

from __future__ import annotations

from collections.abc import Mapping
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


@dataclass(frozen=True)
class Events:
    """Events of one type in sending order.

    ``table`` has one row per event; ``time_ms`` int64 [n] is the event time at which each is sent.
    """

    topic: str
    key: str
    message: type[Message]
    wire: Wire
    table: pa.Table
    time_ms: NDArray[np.int64]

    def between(self, start_ms: int, end_ms: int) -> list[Outgoing]:
        """Return the records to send in [start, end), keyed by the event's key; nulls are omitted fields."""
        first, last = np.searchsorted(self.time_ms, [start_ms, end_ms]).tolist()
        rows = self.table.slice(first, last - first).to_pylist()
        header = (("content-type", f"application/{self.wire}".encode()),)
        return [Outgoing(self.topic, self._content(row), str(row[self.key]).encode(), header) for row in rows]

    def count(self, start_ms: int, end_ms: int) -> int:
        """Return the number of events to send in [start, end)."""
        first, last = np.searchsorted(self.time_ms, [start_ms, end_ms]).tolist()
        return int(last - first)

    def _content(self, row: Mapping[str, Any]) -> bytes:
        present = {name: value for name, value in row.items() if value is not None}
        return orjson.dumps(present) if self.wire == "json" else self.message(**present).SerializeToString()


def events_of(topic: str, event: EventDefinition, message: type[Message], table: pa.Table, wire: Wire) -> Events:
    """Return the rows of a table as events, sorted by event time; each is sent at its event time.

    Raises:
        ValueError: the message lacks a column of the table.
    """
    lacking = set(table.column_names) - {field.name for field in message.DESCRIPTOR.fields}
    if lacking:
        raise ValueError(f"{message.DESCRIPTOR.full_name} has no field {', '.join(sorted(lacking))}")
    return Events(topic, event.key, message, wire, table, table.column(event.time).to_numpy().astype(np.int64))
