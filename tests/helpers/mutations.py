"""Damaged copies of a genuine record: every header and field with values that break readers, and damaged bytes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from driftloop.bus.ports import Record

TIMES = (
    "", "never", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "10000-01-01T00:00:00Z", "2013-02-30",
    "2013-01-01T00:00:00", "\0", "1e400", "0999-12-31T23:59:59Z", "\uff12\uff10\uff11\uff13-01-01T00:00:00Z",
)  # fmt: skip
TEXTS = ("", "\0", "a\0b", "x" * 100_000, "../../etc/passwd", "\u202e{0}%s\x1b[2J", "💥", "nan", "-1", " ")
BYTES = (b"", b"\xff\xfe", b"\x00", b"\xed\xa0\x80", b"x" * 100_000)
FLOATS = (float("nan"), float("inf"), float("-inf"), 1e308, -1e308, 5e-324, -1.0)
INTS = {
    FieldDescriptor.TYPE_INT64: (0, -1, 2**63 - 1, -(2**63), 2**53 + 1),
    FieldDescriptor.TYPE_INT32: (0, -1, 2**31 - 1, -(2**31)),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.TYPE_ENUM: (0, 99),
    FieldDescriptor.TYPE_BOOL: (False, True),
}
Mutated = tuple[str, Record]
"""What was changed, and the record."""


def mutations(record: Record, message: Message, seed: int = 1, damaged: int = 40) -> Iterator[Mutated]:
    """Yield copies of a record of this message with one change each; ``damaged`` of them have damaged bytes."""
    yield from _headers(record)
    for what, changed in _fields(message, type(message).__name__):
        yield what, replace(record, value=changed.SerializeToString(deterministic=True))
    yield "value: none", replace(record, value=None)
    rng = random.Random(seed)
    for number in range(damaged):
        yield f"value: damage {seed}/{number}", replace(record, value=damage(record.value or b"", rng))


def damage(content: bytes, rng: random.Random) -> bytes:
    """Return bytes that are cut, flipped, overwritten or extended at a random position."""
    changed = bytearray(content)
    at = rng.randrange(len(changed)) if changed else 0
    match rng.randrange(5) if changed else 4:
        case 0:
            del changed[at:]
        case 1:
            for _ in range(rng.randint(1, 4)):
                changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        case 2:
            end = min(len(changed), at + rng.randint(1, 16))
            changed[at:end] = rng.choice((b"\0", b"\xff")) * (end - at)
        case 3:
            del changed[at : at + rng.randint(1, 16)]
        case _:
            changed[at:at] = rng.randbytes(rng.randint(1, 16))
    return bytes(changed)


def _headers(record: Record) -> Iterator[Mutated]:
    for name in dict.fromkeys(name for name, _ in record.headers):
        others = tuple(header for header in record.headers if header[0] != name)
        yield f"{name}: absent", replace(record, headers=others)
        texts = TIMES if name in ("ce_time", "ce_walltime") else TEXTS
        for value in (*(text.encode() for text in texts), *BYTES):
            yield f"{name}: {value[:30]!r}", replace(record, headers=(*others, (name, value)))
    yield "key: none", replace(record, key=None)
    yield "key: bytes", replace(record, key=b"\xff\0")


def _fields(message: Message, path: str) -> Iterator[tuple[str, Message]]:
    """Yield copies of a message with one field changed, in nested messages too."""
    for field in message.DESCRIPTOR.fields:
        name = f"{path}.{field.name}"
        value = getattr(message, field.name)
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        if field.is_repeated and len(value):
            yield f"{name}: empty", _copy(message, field, clear=True)
        if is_map:
            kind = field.message_type.fields_by_name["value"]
            for change in _values(kind):
                changed = _copy(message, field, clear=True)
                getattr(changed, field.name)["mutated"] = change
                yield f"{name}: {change!r:.30}", changed
        elif field.message_type is not None:
            yield from _nested(message, field, name)
        else:
            for change in _values(field):
                changed = _copy(message, field, clear=True)
                if field.is_repeated:
                    getattr(changed, field.name).extend([change] * max(1, len(value)))
                else:
                    setattr(changed, field.name, change)
                yield f"{name}: {change!r:.30}", changed


def _nested(message: Message, field: FieldDescriptor, name: str) -> Iterator[tuple[str, Message]]:
    if field.is_repeated:
        parts = list(getattr(message, field.name))
        if parts:
            doubled = _copy(message, field)
            getattr(doubled, field.name).extend(parts)
            yield f"{name}: twice", doubled
            emptied = _copy(message, field)
            getattr(emptied, field.name)[0].Clear()
            yield f"{name}[0]: empty", emptied
            for what, changed in _fields(parts[0], f"{name}[0]"):
                copy = _copy(message, field)
                getattr(copy, field.name)[0].CopyFrom(changed)
                yield what, copy
    elif message.HasField(field.name):
        yield f"{name}: absent", _copy(message, field, clear=True)
        for what, changed in _fields(getattr(message, field.name), name):
            copy = _copy(message, field)
            getattr(copy, field.name).CopyFrom(changed)
            yield what, copy


def _values(field: FieldDescriptor) -> tuple[Any, ...]:
    if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        return FLOATS
    if field.type == FieldDescriptor.TYPE_STRING:
        return TEXTS
    if field.type == FieldDescriptor.TYPE_BYTES:
        return BYTES
    return INTS.get(field.type, ())


def _copy(message: Message, field: FieldDescriptor, *, clear: bool = False) -> Any:
    copy = type(message)()
    copy.CopyFrom(message)
    if clear:
        copy.ClearField(field.name)
    return copy
