"""Copies of the example records of every declared topic that no service can read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from driftloop.bus.ports import Record
from driftloop.bus.unreadable import NAME_NOT_UTF8, unreadable_batch
from driftloop.contracts.topics import message_class
from tests.helpers.examples import examples
from tests.helpers.mutations import mutations

TIME = "impossible ce_time"
ODD_NAME = "header name that is not UTF-8"
BATCH = "batch that cannot be decompressed"
_NO_TIME = str(2**63 - 1)
_MISSING_INPUTS = "PredictionServed.numeric"
"""A number there that is not finite is a missing input."""


@dataclass(frozen=True)
class Damaged:
    """``record`` is what the bus gives to a service: those of `ODD_NAME` and `BATCH` lack what cannot be read."""

    message: str
    what: str
    record: Record


def damaged_records(loop: str) -> list[Damaged]:
    """Return all kinds of damage to every example, as a record of this loop."""
    return [
        Damaged(name, what, record)
        for example in examples("good")
        for name in [(example.record.header("ce_type") or b"").decode()]
        for what, record in _damages(_of_loop(example.record, name, loop), name)
    ]


def _of_loop(record: Record, name: str, loop: str) -> Record:
    message: Any = message_class(name).FromString(record.value or b"")
    message.loop = loop
    return replace(_with_header(record, "ce_loop", loop.encode()), value=message.SerializeToString())


def _damages(record: Record, name: str) -> Iterator[tuple[str, Record]]:
    """Yield copies of a genuine record of this message, with what is wrong with each."""
    value = record.value or b""
    message: Any = message_class(name).FromString(value)
    yield TIME, _with_header(record, "ce_time", b"9999-12-31T23:59:59-23:59")
    yield ODD_NAME, replace(record, headers=(NAME_NOT_UTF8,))
    stand_in = unreadable_batch(0, 0, len(value), "damaged")
    yield BATCH, replace(record, key=None, value=None, headers=(stand_in,))
    yield "cut protobuf", replace(record, value=value + b"\x0a\xff")
    for what, changed in mutations(record, message, damaged=0):
        field, _, written = what.partition(": ")
        is_time = field.endswith("_ms") and written == _NO_TIME
        if is_time or (written == "inf" and field != _MISSING_INPUTS):
            yield what, changed
    if "rows" in message.DESCRIPTOR.fields_by_name:
        message.rows = message.rows[: len(message.rows) // 2]
        yield "cut Arrow", replace(record, value=message.SerializeToString())


def _with_header(record: Record, name: str, value: bytes) -> Record:
    return replace(record, headers=tuple((other, value if other == name else old) for other, old in record.headers))
