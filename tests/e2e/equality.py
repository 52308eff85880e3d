"""What must be equal in two reports over the same days, even if one run was interrupted or restarted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

SECTIONS = ("ingestion", "predictions", "outcomes", "releases", "quality", "chains")
"""Counts of accepted rows, dead letters and duplicates; unique predictions by release; joined and missing outcomes;
releases with stages and verdicts; losses; and the events of each chain.
"""

LAST_DIGITS = 1e-12
"""Relative and absolute tolerance for float64. ONNX Runtime returns other last bits for a row in a batch of another
size
(at least with AVX-512), and a caller that resumes requests only the rest of its step.
"""


def section(report: dict[str, Any], name: str) -> Any:
    """Return a section of a report in an order that does not depend on the order of publication."""
    if name != "chains":
        return report[name]
    chains = [
        sorted((event["event_time"], event["type"], event["id"]) for event in chain) for chain in report["chains"]
    ]
    return sorted(chains)


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Yield where two sections differ; floats may differ in their last digits."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for name in one:
            yield from differences(one[name], other[name], f"{path}.{name}")
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        for index, (first, second) in enumerate(zip(one, other, strict=True)):
            yield from differences(first, second, f"{path}[{index}]")
    elif not _equal(one, other):
        yield f"{path}: {one!r} and {other!r}"


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=LAST_DIGITS, abs_tol=LAST_DIGITS)
    return bool(one == other)
