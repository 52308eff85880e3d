"""A report's numbers as rows for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

GROUPS = {
    "predictions": "Predictions",
    "outcomes": "Outcomes",
    "ingestion": "Events",
    "feature_age_s": "Age of features, s",
    "timings_s": "Wall time, s",
    "memory_mib": "Memory (PSS), MiB",
}
"""Parts of ``report.json`` that are shown so, to their headings."""


def numbers(report: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Heading, and name and value of each number below it; a number that a nested part holds bears both names."""
    return [(heading, list(_rows("", report[part]))) for part, heading in GROUPS.items()]


def _rows(above: str, found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in found.items():
        words = name if "." in name or name.startswith("r-") else name.replace("_", " ")
        label = f"{above}, {words}" if above else words
        if isinstance(value, Mapping):
            yield from _rows(label, value)
        else:
            yield label, _told(value)


def _told(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_told, value)) or "none"
    if value is None:
        return "none"
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
