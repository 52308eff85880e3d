"""Reads JSON by the protobuf mapping (https://protobuf.dev/programming-guides/json) for flat messages.

A record in plain form (proto field names, JSON types that fit the fields, no escapes, no repeated key) goes from orjson
straight into columns. Any other goes through protobuf's parser, so `google.protobuf.json_format` decides what is
accepted. One rule is stricter: an integer must be exact. The parser reads 1.285704473650888702e18 as a double and
rounds it, so that two ids become one.
"""

from __future__ import annotations

import json
import re
import traceback
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
from google.protobuf import json_format
from google.protobuf.message import Message

from services.ingestion.domain.content import foreign_content
from services.ingestion.domain.rejection import Rejection
from services.ingestion.domain.schema import Column, EventSchema

_NONE = type(None)
_UINT32 = range(2**32)
_INT32 = range(-(2**31), 2**31)
_INT64 = range(-(2**63), 2**63)
_EXACT = range(-(2**53), 2**53 + 1)
_DIGITS = re.compile(r"-?[0-9]+")
_DIGITS_ONLY = "send its digits, without point or exponent"
_SHOWN = 80


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
        self._refuse_unknown = schema.refuse_unknown
        self._types = {column.name: _plain_types(column) for column in schema.columns}
        self._ranges = {column.name: _whole_numbers(column) for column in schema.columns}
        fields: list[Any] = schema.message.DESCRIPTOR.fields
        self._names = {name: field.name for field in fields for name in (field.json_name, field.name)}
        self._integers = {column.name for column in schema.columns if pa.types.is_integer(column.type)}

    def read(self, row: int, value: bytes, unknown: Counter[str]) -> dict[str, Any] | Message | Rejection:
        """Return a plain record's fields, its message if protobuf had to read it, or the reason of its refusal.

        Adds the fields that the message lacks to ``unknown``.
        """
        try:
            fields = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            return _malformed(row, foreign_content(value) or str(error), _stack(error))
        if type(fields) is not dict:
            return _malformed(row, f"{_kind_of(fields)}; a record must be one JSON object")
        extra: set[str] = set()
        plain = self._plain(fields, value, extra)
        if not plain:
            extra = fields.keys() - self._names.keys()
        if extra and self._refuse_unknown:
            return _unknown(row, extra)
        if plain:
            unknown.update(extra)
            return fields
        message = self._by_protobuf(row, value)
        if not isinstance(message, Rejection):
            unknown.update(extra)
        return message

    def _plain(self, fields: dict[str, Any], value: bytes, extra: set[str]) -> bool:
        """Return whether Arrow's conversion is enough. Adds the fields that the message lacks to ``extra``."""
        types = self._types
        strings = len(fields)
        for name, field in fields.items():
            kind = type(field)
            if name not in types:
                if name in self._names or kind in (dict, list):
                    return False
                extra.add(name)
                strings += kind is str
                continue
            if kind not in types[name]:
                return False
            if kind is str:
                strings += 1
            elif kind is int and field not in self._ranges[name]:
                return False
        # Without escapes a string has two quotes. A repeated key, which orjson ignores, shows as two more quotes.
        return b"\\" not in value and value.count(b'"') == 2 * strings

    def _inexact(self, value: bytes) -> str:
        """Return why an integer is not exact; empty if all are."""
        for name, field in json.loads(value, parse_float=Decimal).items():
            integer = self._names.get(name)
            if integer not in self._integers:
                continue
            if type(field) is Decimal and not (abs(field) <= 2**53 and field % 1 == 0):
                return f"{name}: {str(field)[:_SHOWN]} is not an exact integer; {_DIGITS_ONLY}"
            if type(field) is str and not _DIGITS.fullmatch(field):
                return f"{name}: {field[:_SHOWN]!r} is not an integer; {_DIGITS_ONLY}"
        return ""

    def _by_protobuf(self, row: int, value: bytes) -> Message | Rejection:
        try:
            if problem := self._inexact(value):
                return _malformed(row, problem)
            return json_format.Parse(value, self._message(), ignore_unknown_fields=True)
        except (json_format.ParseError, ValueError, TypeError, OverflowError, RecursionError) as error:
            return _malformed(row, str(error), _stack(error))


def _whole_numbers(column: Column) -> range:
    """Return the values that go into the column unchanged."""
    if pa.types.is_float64(column.type):
        return _EXACT
    if column.unsigned:
        return _UINT32
    return _INT32 if pa.types.is_int32(column.type) else _INT64


def _kind_of(value: Any) -> str:
    kinds = {list: "a JSON array", str: "a JSON string", bool: "a JSON boolean", _NONE: "JSON null"}
    return kinds.get(type(value), "a JSON number")


def _unknown(row: int, names: Iterable[str]) -> Rejection:
    listed = ", ".join(repr(name[:_SHOWN]) for name in sorted(names))
    return Rejection(row, "unknown-field", f"the message has no field {listed}")


def _malformed(row: int, detail: str, stack: str = "") -> Rejection:
    return Rejection(row, "malformed-json", detail, stack)


def _stack(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
