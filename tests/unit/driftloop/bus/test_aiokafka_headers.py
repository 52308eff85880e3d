from __future__ import annotations

from aiokafka.consumer import fetcher

from driftloop.bus import aiokafka_headers
from tests.helpers.header_names import ODD_HEADER, READ_AS, batch_bytes


def test_a_header_name_that_is_not_utf8_is_read_with_escapes() -> None:
    aiokafka_headers.install()
    content = batch_bytes((b"before", [("ce_id", b"1")]), (b"odd", [("ce_id", b"2"), ODD_HEADER]), (b"after", []))
    records, read = fetcher.MemoryRecords(content + content), []
    while records.has_next():
        batch = records.next_batch()
        assert batch.validate_crc()
        read += [(record.offset, record.value, list(record.headers)) for record in batch]
    assert read == 2 * [
        (0, b"before", [("ce_id", b"1")]),
        (1, b"odd", [("ce_id", b"2"), (READ_AS, b"1")]),
        (2, b"after", []),
    ]
