"""What others decided, as the release machine takes it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """A verdict's answer."""

    BETTER = "better"
    WORSE = "worse"
    NOT_KNOWN_YET = "not-known-yet"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verdict on a release in a stage."""

    release_id: str
    stage: str
    outcome: Outcome
    time_ms: int
    """Event time."""
    step: int | None = None
    """Index into the policy's steps where the verdict says it."""
    limit_reached: bool = False
    evidence: tuple[str, ...] = ()
    """The verdict's own id and what it rests on."""
    reason: str = ""
