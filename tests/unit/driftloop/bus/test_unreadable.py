from __future__ import annotations

import pytest

from driftloop.bus.ports import Record
from driftloop.bus.unreadable import BATCH, HEADER, HEADERS, unreadable, unreadable_batch, unreadable_header


def record(*headers: tuple[str, bytes]) -> Record:
    return Record("orders.placed", 0, 9, None, b"value", headers)


def test_a_record_without_the_header_was_read() -> None:
    assert unreadable(record(("ce_id", b"1"))) is None


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (unreadable_header(HEADERS, "a: name"), (HEADERS, "a: name")),
        (unreadable_batch(5, 9, 100, "damaged"), (BATCH, "offsets 5 to 9, 100 bytes: damaged")),
    ],
)
def test_the_consumers_reason_and_detail_are_returned(header: tuple[str, bytes], expected: tuple[str, str]) -> None:
    assert unreadable(record(header)) == expected


@pytest.mark.parametrize("text", [b"", b"chosen-by-a-producer: x", b"unreadable-batch ", b"\xff\x1b[31m: y"])
def test_a_producers_text_is_no_reason(text: bytes) -> None:
    assert unreadable(record((HEADER, text))) == (HEADERS, "the header dlq-unreadable is reserved")
