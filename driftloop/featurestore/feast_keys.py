"""Feast's online layout, byte for byte, without Feast: entity keys, values, names of tables.

The features service writes this layout and the router reads it; a test compares both with Feast. The router's small
environment imports this module, so it uses only the standard library. Format: Feast 0.67,
``feast/infra/key_encoding_utils.py`` (serialization version 3) and ``protos/feast/types/Value.proto``.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence

PROJECT = "driftloop"
"""Feast's project: the prefix of every online table."""
WATERMARKS = "driftloop_watermarks"
"""Table next to Feast's own, with the watermark of each view."""
WATERMARKS_DDL = (
    f"CREATE TABLE IF NOT EXISTS {WATERMARKS} "
    "(loop TEXT NOT NULL, view TEXT NOT NULL, watermark_ms INTEGER NOT NULL, PRIMARY KEY (loop, view))"
)
WRITTEN_MS = "CASE WHEN created_ts >= 100000000000 THEN created_ts ELSE event_ts * 1000 + 999 END"
"""SQL expression: the time (ms) at which a value became available. Rows of older versions have only whole seconds."""

_STRING, _INT64 = 2, 4  # feast.types.ValueType.Enum
_DOUBLE_TAG, _STRING_TAG = (
    b"\x29",
    b"\x12",
)  # Value.double_val = 5, fixed 64 bits; Value.string_val = 2, length-delimited
_UINT32 = struct.Struct("<I")
_TWO_UINT32 = struct.Struct("<II")
_DOUBLE = struct.Struct("<d")

_WINDOWED = re.compile(r"(?:count|sum)(?:_.+)?_(\d+)s")

EntityValue = str | int
"""Value of a join key: a string, or an integer that Feast stores as INT64."""


class EntityKeys:
    """Serialises the keys of one entity, for fixed join keys."""

    def __init__(self, join_keys: Sequence[str]) -> None:
        self._order = sorted(range(len(join_keys)), key=lambda at: join_keys[at])
        names = [join_keys[at].encode() for at in self._order]
        parts = [_TWO_UINT32.pack(_STRING, len(name)) + name for name in names]
        self._head = _UINT32.pack(len(names)) + b"".join(parts)

    def serialize(self, values: Sequence[EntityValue]) -> bytes:
        """Return the serialised key. ``values`` are in the order of the join keys."""
        return self._head + b"".join(_serialized(values[at]) for at in self._order)


def pack_double(value: float) -> bytes:
    """Return a ``feast.types.Value`` with a double. NaN becomes an unset value, which Feast reads as missing."""
    return b"" if value != value else _DOUBLE_TAG + _DOUBLE.pack(value)


def pack_string(value: str | None) -> bytes:
    """Return a ``feast.types.Value`` with a string. None becomes an unset value."""
    if value is None:
        return b""
    content = value.encode()
    return _STRING_TAG + _varint(len(content)) + content


def unpack_value(packed: bytes) -> float | str | None:
    """Return the value that `pack_double` or `pack_string` packed, or None for an unset one.

    Raises:
        ValueError: a type that the features service never writes.
    """
    if not packed:
        return None
    tag = packed[:1]
    if tag == _DOUBLE_TAG and len(packed) == 9:
        value: float = _DOUBLE.unpack_from(packed, 1)[0]
        return value
    if tag == _STRING_TAG:
        at = 1
        while packed[at] & 0x80:
            at += 1
        return packed[at + 1 :].decode()
    raise ValueError(f"neither a double nor a string: {packed[:16].hex()}")


def window_ms(feature: str) -> int:
    """Return the window of a count or sum from its name (Feast's ``count_<column>_<seconds>s``); 0 if it has none."""
    match = _WINDOWED.fullmatch(feature)
    return int(match[1]) * 1000 if match else 0


def sqlite_table(view: str, project: str = PROJECT) -> str:
    """Name of a view's SQLite table: entity_key, feature_name, value, event_ts (seconds), created_ts (milliseconds).

    Both times are when the value became available. Feast reads only event_ts.
    """
    return f"{project}_{view}"


def _serialized(value: EntityValue) -> bytes:
    if isinstance(value, str):
        content = value.encode()
        return _TWO_UINT32.pack(_STRING, len(content)) + content
    return struct.pack("<IIq", _INT64, 8, value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
