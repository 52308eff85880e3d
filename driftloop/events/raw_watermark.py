"""Watermarks in raw topics: records with an empty value and a header that says how far the producer is."""

from __future__ import annotations

from driftloop.bus.ports import Outgoing, Record

WATERMARK_HEADER = "driftloop-watermark"
DERIVE = b"derive"
"""Value after which ingestion derives the partition's watermark from its events again: no producer sends any now."""


def watermark(topic: str, partition: int, watermark_ms: int) -> Outgoing:
    """Return the producer's watermark for one partition of a raw topic."""
    return Outgoing(topic, None, None, ((WATERMARK_HEADER, str(watermark_ms).encode()),), partition)


def watermark_text(record: Record) -> bytes | None:
    """Return the value of a watermark record: milliseconds or `DERIVE`. None if the record is no watermark."""
    return None if record.value else record.header(WATERMARK_HEADER)


def watermark_ms_of(record: Record) -> int | None:
    """Return the time of a valid watermark record; None if the record has none."""
    text = watermark_text(record)
    return None if text is None or text == DERIVE else int(text)
