"""Turns the records of one event type into columns. A malformed record affects only itself."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet
from numpy.typing import NDArray

from driftloop.bus.ports import Record
from driftloop.bus.unreadable import unreadable
from services.ingestion.domain.content import foreign_content
from services.ingestion.domain.json_rows import JsonReader
from services.ingestion.domain.rejection import Rejection
from services.ingestion.domain.schema import Column, EventSchema

_SPACE = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Decoded:
    """``rows``: the message's fields, in record order; ``positions`` int64 [n]: the record index of each row."""

    rows: pa.RecordBatch
    positions: NDArray[np.int64]
    rejected: list[Rejection]
    unknown: Counter[str]
    """Number of records by the name of a field that the message lacks, or by the number of a protobuf field."""


class Decoder:
    """Decodes records of one event type, protobuf and JSON mixed."""

    def __init__(self, schema: EventSchema, max_record_bytes: int) -> None:
        self._schema = schema
        self._limit = max_record_bytes
        self._json = JsonReader(schema)
        self._parse = schema.message.FromString

    def decode(self, records: Sequence[Record]) -> Decoded:
        """Decode all readable records into columns."""
        dicts: list[tuple[int, dict[str, Any]]] = []
        messages: list[tuple[int, Message]] = []
        rejected: list[Rejection] = []
        unknown = Counter[str]()
        for row, record in enumerate(records):
            read = self._read(row, record, unknown)
            if type(read) is dict:
                dicts.append((row, read))
            elif isinstance(read, Rejection):
                rejected.append(read)
            else:
                messages.append((row, read))  # type: ignore[arg-type]  # the third kind
        return self._in_order(dicts, messages, rejected, unknown)

    def _read(self, row: int, record: Record, unknown: Counter[str]) -> dict[str, Any] | Message | Rejection:
        value = record.value
        if (problem := unreadable(record)) is not None:
            return Rejection(row, *problem)
        if not value:
            return Rejection(row, "empty", "no value, and no watermark header")
        if len(value) > self._limit:
            return Rejection(row, "too-large", f"{len(value)} bytes; the loop takes {self._limit}")
        form = _format(record, value)
        if form == "application/json":
            return self._json.read(row, value, unknown)
        if form != "application/protobuf":
            return Rejection(row, "content-type", f"{form!r} is neither application/json nor application/protobuf")
        try:
            message = self._parse(value)
        except DecodeError as error:
            return _unreadable(row, value, error, declared=_content_type(record) is not None)
        extra = [f"number {field.field_number}" for field in UnknownFieldSet(message)]
        if extra and self._schema.refuse_unknown:
            return Rejection(row, "unknown-field", f"the message has no field {', '.join(sorted(set(extra)))}")
        unknown.update(set(extra))
        return message

    def _in_order(
        self,
        dicts: list[tuple[int, dict[str, Any]]],
        messages: list[tuple[int, Message]],
        rejected: list[Rejection],
        unknown: Counter[str],
    ) -> Decoded:
        columns = self._schema.columns
        positions = np.array([row for row, _ in dicts] + [row for row, _ in messages], dtype=np.int64)
        plain = [fields for _, fields in dicts]
        read = [message for _, message in messages]
        parts = []
        if plain:
            parts.append([_from_dicts(column, plain) for column in columns])
        if read or not plain:
            parts.append([_from_messages(column, read) for column in columns])
        if len(parts) == 1:
            rows = pa.RecordBatch.from_arrays(parts[0], schema=self._schema.fields)
            return Decoded(rows, positions, rejected, unknown)
        order = np.argsort(positions)
        both = [pa.concat_arrays(pair).take(pa.array(order)) for pair in zip(*parts, strict=True)]
        rows = pa.RecordBatch.from_arrays(both, schema=self._schema.fields)
        return Decoded(rows, positions[order], rejected, unknown)


def _format(record: Record, value: bytes) -> str:
    declared = _content_type(record)
    if declared is not None:
        return declared
    return "application/json" if value.lstrip(_SPACE)[:1] == b"{" else "application/protobuf"


def _content_type(record: Record) -> str | None:
    for name, content in record.headers:
        if name == "content-type":
            return content.decode("latin-1").split(";")[0].strip().lower()
    return None


def _unreadable(row: int, value: bytes, error: DecodeError, *, declared: bool) -> Rejection:
    """Return the refusal of a value that is no message. Without a content type, its start may tell what it is."""
    stack = "".join(traceback.format_exception(error))
    name = None if declared else foreign_content(value)
    if name is None:
        return Rejection(row, "malformed-protobuf", str(error), stack)
    return Rejection(row, "content-type", f"no content-type, and the value begins like {name}", stack)


def _from_dicts(column: Column, rows: list[dict[str, Any]]) -> pa.Array:
    name = column.name
    array = pa.array([row.get(name) for row in rows], column.type)
    return array if column.optional or not array.null_count else array.fill_null(column.default)


def _from_messages(column: Column, rows: list[Message]) -> pa.Array:
    name = column.name
    if column.optional:
        return pa.array([getattr(row, name) if row.HasField(name) else None for row in rows], column.type)
    return pa.array([getattr(row, name) for row in rows], column.type)
