"""The current state of a loop."""

from __future__ import annotations

from dataclasses import dataclass, field

ENDED = ("champion", "rejected", "retired", "rolled-back")
"""Stages in which a release is not open."""


@dataclass(frozen=True)
class Waiting:
    """A release that waits for a user's approval."""

    release: str
    to_stage: str
    deadline_ms: int
    """Event time."""
    event_id: str


@dataclass(frozen=True)
class KeptReason:
    """A reason to train that waits for a request."""

    kind: str
    detail: str
    because: str
    """What it waited for when it arrived, as in reason-coalesced."""
    since_ms: int
    """Event time."""
    event_id: str
    """The event that gave the reason."""


@dataclass(frozen=True)
class SilentDetector:
    """A detector that could not judge the newest windows."""

    detector: str
    windows: int
    rows: int
    """Rows that the newest of them had for it."""
    min_rows: int


@dataclass
class LoopState:
    """The current state of a loop. `loop_history.LoopHistory` computes it."""

    loop: str
    champion: str = ""
    champion_since_ms: int | None = None
    """Event time."""
    former: list[str] = field(default_factory=list)
    """Former champions to which a rollback can return, oldest first."""
    epoch: int = 0
    converged_epoch: int = 0
    """Newest epoch that the router served."""
    release: str = ""
    """The open release, in `stage`; empty if no release is open."""
    stage: str = ""
    share: float = 0.0
    """Share of keys that the open release answers."""
    waiting: Waiting | None = None
    paused: bool = False
    paused_topics: dict[str, str] = field(default_factory=dict)
    """Raw topics that ingestion does not read, with the reason."""
    verdict: str = ""
    alarm: str = ""
    alarm_ms: int | None = None
    time_ms: int = 0
    """Newest event time of all events."""
    watermark: str = ""
    """Event time up to which features are complete; empty if the input has no watermark events."""
    open: list[str] = field(default_factory=list)
    """Descriptions of pending work."""
    untrained: str = ""
    """Why the loop needs a model that no trainer can make: first-champion, drift or command. A promotion or a training
    request clears it."""
    kept: list[KeptReason] = field(default_factory=list)
    """Oldest first."""
    failures: int = 0
    """Consecutive failures of the trainer."""
    breaker: int = 0
    """Number of failures at which the breaker opens; 0 if no request says it yet."""
    breaker_open: bool = False
    """Whether only a person starts a run."""
    last_failure: str = ""
    """Line of the newest run or release that failed; empty after a release that did not."""
    silent: list[SilentDetector] = field(default_factory=list)
    chains: dict[str, str] = field(default_factory=dict)
    """Correlation id by release."""

    def end_release(self) -> None:
        """Record that no release is open."""
        self.release, self.stage, self.share, self.waiting = "", "", 0.0, None
