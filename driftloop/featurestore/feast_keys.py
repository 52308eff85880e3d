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


def redis_key(entity_key: bytes, project: str = PROJECT) -> bytes:
    """Return the key of the Redis hash with an entity's features of all views."""
    return entity_key + project.encode()


def redis_field(view: str, feature: str) -> bytes:
    """Return the field of a feature in the entity's Redis hash."""
    return _UINT32.pack(_murmur3(f"{view}:{feature}".encode()))


def redis_time_field(view: str) -> bytes:
    """Return the field of the time of a view's row in the entity's Redis hash."""
    return f"_ts:{view}".encode()


def pack_time(time_ms: int) -> bytes:
    """Return a ``google.protobuf.Timestamp`` of UTC ms."""
    seconds, ms = divmod(time_ms, 1000)
    packed = b"\x08" + _varint(seconds) if seconds else b""
    return packed + b"\x10" + _varint(ms * 1_000_000) if ms else packed


def unpack_time(packed: bytes) -> int:
    """Return the UTC ms of a ``google.protobuf.Timestamp``, nanoseconds cut off."""
    fields, at = {0x08: 0, 0x10: 0}, 0
    while at < len(packed):
        tag, shift, value, at = packed[at], 0, 0, at + 1
        while True:
            byte, at = packed[at], at + 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        fields[tag] = value
    return fields[0x08] * 1000 + fields[0x10] // 1_000_000


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


def _murmur3(content: bytes) -> int:
    """Return MurmurHash3 x86 32 bits with seed 0 (Austin Appleby, public domain)."""
    mask, length = 0xFFFFFFFF, len(content)
    value = 0
    for at in range(0, length - 3, 4):
        (block,) = _UINT32.unpack_from(content, at)
        block = block * 0xCC9E2D51 & mask
        block = (block << 15 | block >> 17) * 0x1B873593 & mask
        value ^= block
        value = ((value << 13 | value >> 19) & mask) * 5 + 0xE6546B64 & mask
    if tail := content[length & ~3 :]:
        block = int.from_bytes(tail, "little") * 0xCC9E2D51 & mask
        value ^= (block << 15 | block >> 17) * 0x1B873593 & mask
    value ^= length
    value = (value ^ value >> 16) * 0x85EBCA6B & mask
    value = (value ^ value >> 13) * 0xC2B2AE35 & mask
    return value ^ value >> 16
