"""Records that ingestion must reject, with the expected reason."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from driftloop.bus.ports import Outgoing

TOPIC = "flights.cancelled"
KEY = b"bad-input"
"""One key, so that all records are in one partition, in order."""
DAY_MS = 86_400_000
JSON, PROTOBUF = b"application/json", b"application/protobuf"


@dataclass(frozen=True)
class BadRecord:
    """``reason`` is the header of the dead letter."""

    name: str
    value: bytes
    content_type: bytes
    reason: str

    def record(self) -> Outgoing:
        return Outgoing(TOPIC, self.value, KEY, (("content-type", self.content_type),))


def event(name: str, at_ms: int, **fields: Any) -> dict[str, Any]:
    """Return a valid event with some fields replaced; None removes a field."""
    good = {
        "event_id": name,
        "event_time_ms": at_ms,
        "flight_id": name,
        "carrier": "UA",
        "origin": "EWR",
        "dest": "LAX",
    }
    return {key: value for key, value in (good | fields).items() if value is not None}


def good(name: str, at_ms: int, **fields: Any) -> Outgoing:
    """Return a record that is accepted."""
    return Outgoing(TOPIC, json.dumps(event(name, at_ms, **fields)).encode(), KEY, (("content-type", JSON),))


def bad_records(now_ms: int, limit_bytes: int) -> list[BadRecord]:
    """Return one bad record of each kind; ``now_ms`` is the watermark, ``limit_bytes`` the maximum size of a record."""

    def json_of(name: str, reason: str, at_ms: Any = now_ms, **fields: Any) -> BadRecord:
        return BadRecord(name, json.dumps(event(name, at_ms, **fields)).encode(), JSON, reason)

    return [
        BadRecord("malformed-protobuf", b"\xff\xff\xff", PROTOBUF, "malformed-protobuf"),
        BadRecord("malformed-json", b'{"event_id": "cut', JSON, "malformed-json"),
        json_of("missing-field", "missing", carrier=None),
        json_of("wrong-type", "malformed-json", at_ms="soon"),
        json_of("inexact-integer", "malformed-json", at_ms=1.285704473650888702e18),
        BadRecord(
            "byte-order-mark", b"\xef\xbb\xbf" + json.dumps(event("marked", now_ms)).encode(), JSON, "malformed-json"
        ),
        BadRecord("array", json.dumps([event("listed", now_ms)]).encode(), JSON, "malformed-json"),
        json_of("not-in-enum", "not-in-enum", origin="LAX"),
        json_of("far-future", "too-far-ahead", at_ms=now_ms + 30 * DAY_MS),
        json_of("oversized", "too-large", dest="x" * limit_bytes),
        BadRecord("unknown-content-type", b"<flight/>", b"text/xml", "content-type"),
    ]
