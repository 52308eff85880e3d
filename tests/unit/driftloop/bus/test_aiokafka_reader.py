from __future__ import annotations

from typing import Any

import pytest
from aiokafka.consumer import fetcher

from driftloop.bus import aiokafka_reader
from driftloop.bus.unreadable import HEADER, NAME_NOT_UTF8
from tests.helpers.header_names import ODD_HEADER, batch_bytes

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
UNASSIGNED = 7
LOWEST_BYTE_OF_ATTRIBUTES = 22
"""Position in a batch; its lowest three bits name the codec."""


@pytest.fixture(autouse=True)
def installed() -> None:
    aiokafka_reader.install()


def read(content: bytes) -> list[tuple[int, bytes | None, list[tuple[str, bytes]]]]:
    """Return offset, value and headers of all records as a consumer reads them."""
    records: Any = fetcher.MemoryRecords(content)
    rows = []
    while records.has_next():
        rows += [(record.offset, record.value, list(record.headers)) for record in records.next_batch()]
    return rows


def with_codec(content: bytes, codec: int) -> bytes:
    """Return a batch that claims another compression."""
    changed = bytearray(content)
    changed[LOWEST_BYTE_OF_ATTRIBUTES] = codec
    return bytes(changed)


def test_a_record_with_a_header_name_that_is_not_utf8_has_no_other_header() -> None:
    content = batch_bytes((b"before", [("ce_id", b"1")]), (b"odd", [("ce_id", b"2"), ODD_HEADER]), (b"after", []))
    assert fetcher.MemoryRecords(content).next_batch().validate_crc()
    assert read(content + content) == 2 * [
        (0, b"before", [("ce_id", b"1")]),
        (1, b"odd", [NAME_NOT_UTF8]),
        (2, b"after", []),
    ]


@pytest.mark.parametrize("name", ["", "caf\u00e9", "\U0001f4a5", "odd\\xff"])
def test_every_other_header_name_is_read_as_it_is(name: str) -> None:
    assert read(batch_bytes((b"a", [(name, b"1"), ("ce_id", b"2")]))) == [(0, b"a", [(name, b"1"), ("ce_id", b"2")])]


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD])
@pytest.mark.parametrize("size", [500, 500_000])
def test_a_compressed_batch_is_read(codec: int, size: int) -> None:
    content = batch_bytes((b"a" * size, [("ce_id", b"1")]), (b"b", [ODD_HEADER]), codec=codec)
    assert len(content) < size
    assert read(content) == [(0, b"a" * size, [("ce_id", b"1")]), (1, b"b", [NAME_NOT_UTF8])]


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD, UNASSIGNED])
def test_one_record_stands_in_for_a_batch_that_is_not_of_its_codec(codec: int) -> None:
    odd = with_codec(batch_bytes((b"a", []), (b"b", []), (b"c", [])), codec)
    [(offset, value, headers), after, _] = read(odd + batch_bytes((b"after", []), (b"more", [])))
    assert (offset, value, after) == (2, None, (0, b"after", []))
    [(name, text)] = headers
    assert name == HEADER
    assert text.startswith(b"unreadable-batch: offsets 0 to 2, ")


@pytest.mark.parametrize("codec", [GZIP, LZ4, ZSTD])
def test_one_record_stands_in_for_a_batch_above_the_limit(monkeypatch: pytest.MonkeyPatch, codec: int) -> None:
    monkeypatch.setattr(aiokafka_reader, "DECOMPRESSED_BYTES", 1_000)
    allowed, above = (batch_bytes((b"a" * size, []), codec=codec) for size in (900, 1_100))
    [(_, value, _)] = read(allowed)
    [(offset, nothing, [(name, _)])] = read(above)
    assert (value, offset, nothing, name) == (b"a" * 900, 0, None, HEADER)
