"""Reasons for refused records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

DUPLICATE = "duplicate"
"""The only reason without a dead letter: the event was accepted before."""
TOO_FAR_AHEAD = "too-far-ahead"
LATEST = "the wall clock plus `time.max_advance`"
"""The last time that an event or a watermark may have, in words."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A refused record. ``row`` is its index in its batch.

    ``reason`` is one of: `empty`, `too-large`, `content-type`, `malformed-header`, `malformed-json`, `malformed-
    protobuf`, `malformed-watermark`, `unknown-field`, `missing`, `non-finite`, `out-of-range`, `not-in-enum`, `too-
    long`, `invalid-time`, `too-far-ahead`, `derive`, `unknown-class`, `invalid-outcome`, `duplicate`.
    """

    row: int
    reason: str
    detail: str = ""
    stack: str = ""


def time_text(time_ms: int) -> str:
    """Return a time from 1970 to 9999, UTC, in whole seconds."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
