"""What two reports over the same days must have in common, whatever befell one of the runs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

PARTS = ("ingestion", "predictions", "outcomes", "releases", "quality", "chains")
"""Counts of accepted rows, dead letters and duplicates; unique predictions by release; outcomes joined and missing;
releases with stages and verdicts, and losses; and which events stand in which chains."""

LAST_DIGITS = 1e-12
"""Of a double. ONNX Runtime gives a row other last bits in a batch of another size, with AVX-512 at least, and a caller
that begins again asks for the rest of its step only."""


def part(report: dict[str, Any], name: str) -> Any:
    """A part of a report, in an order that does not hang on publication's."""
    if name != "chains":
        return report[name]
    chains = [sorted((each["event_time"], each["type"], each["id"]) for each in chain) for chain in report["chains"]]
    return sorted(chains)


def differences(one: Any, other: Any, at: str = "") -> Iterator[str]:
    """Where two reports' parts differ; numbers with a fraction may in their last digits."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for name in one:
            yield from differences(one[name], other[name], f"{at}.{name}")
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        for index, (first, second) in enumerate(zip(one, other, strict=True)):
            yield from differences(first, second, f"{at}[{index}]")
    elif not _equal(one, other):
        yield f"{at}: {one!r} and {other!r}"


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=LAST_DIGITS, abs_tol=LAST_DIGITS)
    return bool(one == other)
