"""Verdicts as the release state machine reads them."""

from __future__ import annotations

from dataclasses import dataclass

from driftloop.events.verdict_outcome import VerdictOutcome


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verdict on a release in a stage."""

    release_id: str
    stage: str
    outcome: VerdictOutcome
    time_ms: int
    """Event time."""
    step: int | None = None
    """Index into the policy's steps, if the verdict has one."""
    limit_reached: bool = False
    evidence: tuple[str, ...] = ()
    """The verdict's id and the ids of its evidence."""
    reason: str = ""
