"""A report's numbers as text."""

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
"""Heading by part of ``report.json``."""


def numbers(report: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return each heading with the names and values of its numbers; a nested number has the names of its parents."""
    return [(heading, list(_rows("", report[part]))) for part, heading in GROUPS.items()]


def _rows(parent: str, part: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in part.items():
        words = name if "." in name or name.startswith("r-") else name.replace("_", " ")
        label = f"{parent}, {words}" if parent else words
        if isinstance(value, Mapping):
            yield from _rows(label, value)
        else:
            yield label, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    if value is None:
        return "none"
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
