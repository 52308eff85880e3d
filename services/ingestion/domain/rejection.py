"""Why a record was turned away."""

from __future__ import annotations

from dataclasses import dataclass

DUPLICATE = "duplicate"
"""The one reason that makes no dead letter: the event stands already."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A record that is not accepted. ``row`` is its place among the records it came with.

    ``reason`` is one of: `empty`, `too-large`, `content-type`, `malformed-json`, `malformed-protobuf`,
    `malformed-watermark`, `missing`, `out-of-range`, `not-in-enum`, `too-long`, `invalid-time`, `too-far-ahead`,
    `derive`, `unknown-class`, `duplicate`.
    """

    row: int
    reason: str
    detail: str = ""
    stack: str = ""
