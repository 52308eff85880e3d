"""Reads JSON by the protobuf mapping (https://protobuf.dev/programming-guides/json) for flat messages.

A record in plain form (proto field names, JSON types that fit the fields, no escapes, no repeated key) goes from orjson
straight into columns. Any other goes through protobuf's parser, so `google.protobuf.json_format` decides what is
accepted.
"""

from __future__ import annotations

import traceback
from typing import Any

import orjson
import pyarrow as pa
from google.protobuf import json_format
from google.protobuf.message import Message

from services.ingestion.domain.rejection import Rejection
from services.ingestion.domain.schema import Column, EventSchema

_NONE = type(None)
_UINT32 = range(2**32)
_INT32 = range(-(2**31), 2**31)
_INT64 = range(-(2**63), 2**63)
_EXACT = range(-(2**53), 2**53 + 1)


def _plain_types(column: Column) -> frozenset[type]:
    """Return the types of orjson's values that need only Arrow's conversion."""
    if column.is_string:
        return frozenset({str, _NONE})
    if pa.types.is_float64(column.type):
        return frozenset({float, int, _NONE})
    if pa.types.is_boolean(column.type):
        return frozenset({bool, _NONE})
    if pa.types.is_integer(column.type):
        return frozenset({int, _NONE})
    return frozenset({_NONE})  # 32-bit floats are rounded and bounded by protobuf


class JsonReader:
    """Reads the JSON records of one event type."""

    def __init__(self, schema: EventSchema) -> None:
        self._message = schema.message
        self._types = {column.name: _plain_types(column) for column in schema.columns}
        self._ranges = {column.name: _whole_numbers(column) for column in schema.columns}

    def read(self, row: int, value: bytes) -> dict[str, Any] | Message | Rejection:
        """Return a plain record's fields, its message if protobuf had to read it, or the reason of its refusal."""
        try:
            fields = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            return Rejection(row, "malformed-json", str(error), _stack(error))
        if type(fields) is not dict:
            return Rejection(row, "malformed-json", "a record must be one JSON object")
        return fields if self._plain(fields, value) else self._by_protobuf(row, value)

    def _plain(self, fields: dict[str, Any], value: bytes) -> bool:
        types = self._types
        strings = len(fields)
        for name, field in fields.items():
            kind = type(field)
            if name not in types or kind not in types[name]:
                return False
            if kind is str:
                strings += 1
            elif kind is int and field not in self._ranges[name]:
                return False
        # Without escapes a string has two quotes. A repeated key, which orjson ignores, shows as two more quotes.
        return b"\\" not in value and value.count(b'"') == 2 * strings

    def _by_protobuf(self, row: int, value: bytes) -> Message | Rejection:
        try:
            return json_format.Parse(value, self._message())
        except (json_format.ParseError, ValueError, TypeError, OverflowError, RecursionError) as error:
            return Rejection(row, "malformed-json", str(error), _stack(error))


def _whole_numbers(column: Column) -> range:
    """Return the values that go into the column unchanged."""
    if pa.types.is_float64(column.type):
        return _EXACT
    if column.unsigned:
        return _UINT32
    return _INT32 if pa.types.is_int32(column.type) else _INT64


def _stack(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
