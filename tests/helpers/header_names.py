"""Writes records with a header name that is not UTF-8, which no client library offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record import default_records

from driftloop.bus.ports import Outgoing

Header = tuple[str, bytes]
BUILDER: Any = vars(default_records)["_DefaultRecordBatchBuilderPy"]
"""The library's builder in Python: the compiled one takes only plain strings as names."""


class NotUtf8(str):
    """A header name whose bytes are not UTF-8."""

    def encode(self, *_: str) -> bytes:
        return b"odd\xff"


ODD_HEADER: Header = (NotUtf8("odd"), b"1")


def batch_bytes(*values: tuple[bytes, Sequence[Header]], codec: int = 0) -> bytes:
    """Return a batch of records as the broker stores it. ``codec``: 1 is gzip, without a codec it is not compressed."""
    builder = BUILDER(2, codec, 0, -1, -1, 0, 1_000_000)
    for offset, (value, headers) in enumerate(values):
        builder.append(offset, 1000, None, value, list(headers))
    return bytes(builder.build())


async def send(
    monkeypatch: pytest.MonkeyPatch, bootstrap: str, topic: str, *values: tuple[bytes, Sequence[Header]]
) -> None:
    """Send values with headers to partition 0 of a topic, in order."""
    records = [Outgoing(topic, value, None, tuple(headers), 0) for value, headers in values]
    await send_records(monkeypatch, bootstrap, records)


async def send_records(monkeypatch: pytest.MonkeyPatch, bootstrap: str, records: Sequence[Outgoing]) -> None:
    """Send records, in order."""
    for module in ("message_accumulator", "producer"):
        monkeypatch.setattr(f"aiokafka.producer.{module}.DefaultRecordBatchBuilder", BUILDER)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        for record in records:
            await producer.send_and_wait(
                record.topic, record.value, record.key, record.partition, headers=list(record.headers)
            )
    finally:
        await producer.stop()
