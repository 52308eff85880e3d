"""Records that stand in for what a client library cannot read. Consumers turn them into dead letters."""

from __future__ import annotations

from driftloop.bus.ports import Record

HEADER = "dlq-unreadable"
HEADERS = "malformed-header"
BATCH = "unreadable-batch"
"""Reason of a dead letter that stands for a whole batch and has no bytes of it."""


def unreadable_header(reason: str, detail: str) -> tuple[str, bytes]:
    """Return the header of such a record. ``reason``: the dead letter's reason, `HEADERS` or `BATCH`."""
    return HEADER, f"{reason}: {detail}".encode()


NAME_NOT_UTF8 = unreadable_header(HEADERS, "a header has a name that is not UTF-8, so none can be read")
"""The only header of a record that has such a name. Kafka does not check names."""


def unreadable(record: Record) -> tuple[str, str] | None:
    """Return the reason and detail of a record that could not be read; None for any other record.

    A producer may send the header too. Its text must not become a reason, because metrics count by reason.
    """
    text = record.header(HEADER)
    if text is None:
        return None
    reason, _, detail = text.decode("utf-8", "backslashreplace").partition(": ")
    return (reason, detail) if reason in (HEADERS, BATCH) else (HEADERS, f"the header {HEADER} is reserved")


def unreadable_batch(first: int, last: int, size: int, problem: str) -> tuple[str, bytes]:
    """Return the header of the record that stands in for all records of a batch."""
    return unreadable_header(BATCH, f"offsets {first} to {last}, {size} bytes: {problem}")
