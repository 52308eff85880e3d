"""What two reports over the same days must have in common, whatever befell one of the runs."""

from __future__ import annotations

from typing import Any

PARTS = ("ingestion", "predictions", "outcomes", "releases", "quality", "chains")
"""Counts of accepted rows, dead letters and duplicates; unique predictions by release; outcomes joined and missing;
releases with stages and verdicts, and losses, to the last digit; and which events stand in which chains."""


def part(report: dict[str, Any], name: str) -> Any:
    """A part of a report, in an order that does not hang on publication's."""
    if name != "chains":
        return report[name]
    chains = [sorted((each["event_time"], each["type"], each["id"]) for each in chain) for chain in report["chains"]]
    return sorted(chains)
