"""Accepted rows of one feed as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from services.features.domain.views import Kind

Ints = NDArray[np.int64]
Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Events:
    """Rows as arrays. Columns are float64 with NaN for missing or infinite values, or object with None for missing.

    ``time_ms``: event time. ``effective_ms``: the row is visible after it; the later of event time and arrival
    watermark. ``partition``, ``offset``: position in the raw topic. ``code``: the entity's number. All int64 [n].
    """

    time_ms: Ints
    effective_ms: Ints
    partition: Ints
    offset: Ints
    code: Ints
    columns: Mapping[str, Array]

    def __len__(self) -> int:
        return len(self.time_ms)

    def take(self, rows: Any) -> Events:
        """Return rows by a mask, positions or a slice."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        return Events(
            self.time_ms[rows],
            self.effective_ms[rows],
            self.partition[rows],
            self.offset[rows],
            self.code[rows],
            columns,
        )

    def in_order(self) -> Events:
        """Return rows sorted by event time, then raw position, which no delivery can change."""
        if len(self) < 2:
            return self
        return self.take(np.lexsort((self.offset, self.partition, self.time_ms)))

    @property
    def late(self) -> int:
        """Return the number of rows that arrived after the watermark had passed them."""
        return int(np.count_nonzero(self.effective_ms > self.time_ms))


def empty(columns: Mapping[str, Kind]) -> Events:
    """Return no rows."""
    none = np.empty(0, np.int64)
    kinds = {name: np.empty(0, np.float64 if kind == "double" else object) for name, kind in columns.items()}
    return Events(none, none, none, none, none, kinds)


def concat(parts: Sequence[Events]) -> Events:
    """Return all rows of at least one part."""
    if len(parts) == 1:
        return parts[0]
    return Events(
        np.concatenate([part.time_ms for part in parts]),
        np.concatenate([part.effective_ms for part in parts]),
        np.concatenate([part.partition for part in parts]),
        np.concatenate([part.offset for part in parts]),
        np.concatenate([part.code for part in parts]),
        {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns},
    )


def merge(older: Events, newer: Events) -> Events:
    """Merge two ordered runs. Rows newer than all others are appended; only late rows need sorting."""
    if not len(newer):
        return older
    late = len(older) and newer.time_ms[0] <= older.time_ms[-1]
    both = concat([older, newer])
    return both.in_order() if late else both


class Arrived:
    """A batch of accepted rows of one event type. Each column is converted once, for all feeds."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch
        self._columns: dict[tuple[str, Kind], Array] = {}
        self._values: dict[tuple[str, pa.DataType], list[Any]] = {}
        self.time_ms: Ints = batch.column("event_time_ms").to_numpy()
        self.effective_ms: Ints = np.maximum(self.time_ms, batch.column("arrival_watermark_ms").to_numpy())
        self.partition: Ints = batch.column("source_partition").to_numpy().astype(np.int64)
        self.offset: Ints = batch.column("source_offset").to_numpy()

    def __len__(self) -> int:
        return len(self.time_ms)

    def column(self, name: str, kind: Kind) -> Array:
        """Return a column as an array.

        Raises:
            KeyError: the batch lacks it.
            pa.ArrowInvalid: its type cannot be converted.
        """
        column = self._columns.get((name, kind))
        if column is None:
            column = self._columns[name, kind] = _array(self._batch.column(name), kind)
        return column

    def values(self, name: str, kind: pa.DataType) -> list[Any]:
        """Return a join key's values, None for null; raises as `column` does."""
        values = self._values.get((name, kind))
        if values is None:
            column = self._batch.column(name)
            values = self._values[name, kind] = _same_type(name, column, kind).to_pylist()
        return values


def _same_type(name: str, column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return a join key's column in the type that Feast stores. A number never becomes a text, nor a text a number."""
    if column.type == kind:
        return column
    if not (pa.types.is_integer(column.type) and pa.types.is_int64(kind)):
        raise pa.ArrowInvalid(f"the join key {name} is a {column.type} in the event and a {kind} in Feast")
    return column.cast(kind)


def _array(column: pa.Array, kind: Kind) -> Array:
    if kind == "string":
        strings: Array = column.cast(pa.string()).to_numpy(zero_copy_only=False)
        return strings
    if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        column = pc.if_else(pc.is_valid(column), 1.0, None)  # the column is only counted
    doubles: Array = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    finite = np.isfinite(doubles)
    return doubles if finite.all() else np.where(finite, doubles, np.nan)
