"""Results of checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Check:
    """One comparison: how much was compared, how much of it was unequal."""

    name: str
    compared: int
    unequal: int
    detail: str = ""


@dataclass
class Counts:
    """Counts for the report, made during the checks."""

    predictions_served: int = 0
    predictions_by_release: dict[str, int] = field(default_factory=dict)
    accepted: dict[str, int] = field(default_factory=dict)
    """By event type."""
    dead_lettered: int = 0
    duplicates: int = 0
    skew_compared: int = 0
    skew_unequal: int = 0
    feature_age_p50_s: float = 0.0
    feature_age_p99_s: float = 0.0


@dataclass(frozen=True)
class Findings:
    """All checks and counts of one loop."""

    checks: Sequence[Check]
    counts: Counts
