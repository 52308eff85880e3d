"""Reasons for refused records."""

from __future__ import annotations

from dataclasses import dataclass

DUPLICATE = "duplicate"
"""The only reason without a dead letter: the event was accepted before."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A refused record. ``row`` is its index in its batch.

    ``reason`` is one of: `empty`, `too-large`, `content-type`, `malformed-json`, `malformed-protobuf`,
    `malformed-watermark`, `unknown-field`, `missing`, `non-finite`, `out-of-range`, `not-in-enum`, `too-long`,
    `invalid-time`, `too-far-ahead`, `derive`, `unknown-class`, `invalid-outcome`, `duplicate`.
    """

    row: int
    reason: str
    detail: str = ""
    stack: str = ""
