"""What a loop's releases are, and what can happen to them.

A release's stages:

    created ──► shadow ──► canary (one for each step of the policy) ──► champion ──► retired
       │           │          │                                          │  ▲           │
       └───────────┴──────────┴───────────► rejected, rolled-back ◄──────┘  └───────────┘
                                                                            on rollback

`rejected` and `rolled-back` are ends. A policy may begin with any step; the first champion of a loop skips them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """Where a release is."""

    CREATED = "created"
    SHADOW = "shadow"
    CANARY = "canary"
    CHAMPION = "champion"
    RETIRED = "retired"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled-back"


OPEN = frozenset({Stage.SHADOW, Stage.CANARY})
ENDS = frozenset({Stage.REJECTED, Stage.ROLLED_BACK})


@dataclass(frozen=True, slots=True)
class Release:
    """A bundle with a name, and where it is on its way."""

    release_id: str
    run_id: str
    request_id: str
    bundle_uri: str
    bundle_digest: str
    chain: str
    """Correlation id of the chain that it came from."""
    stage: Stage = Stage.CREATED
    from_stage: Stage = Stage.CREATED
    step: int = -1
    """Index into the policy's steps; -1 if the stage is not a rollout step."""
    share: float = 0.0
    """Of keys answered by it."""
    epoch: int = 0
    """Of its entry into the stage."""
    entered_ms: int = 0
    """Event time of that entry."""
    approval_deadline_ms: int | None = None
    """Set while it waits for a person."""
    replaced: str = ""
    """The champion that it took over from; empty if it is not the champion, or was the first."""


@dataclass(frozen=True, slots=True)
class LoopState:
    """A loop's releases that still matter."""

    loop: str
    epoch: int = 0
    """Counts every change of who answers, from 1."""
    time_ms: int = 0
    """Newest event time of a decision; it never goes back."""
    paused: bool = False
    champion: Release | None = None
    open: Release | None = None
    """The one release in shadow or canary."""
    former: tuple[Release, ...] = ()
    """Retired champions that a rollback may bring back, oldest first."""


@dataclass(frozen=True, slots=True)
class Created:
    """A candidate became a release."""

    release: Release


@dataclass(frozen=True, slots=True)
class Entered:
    """A release entered its stage."""

    release: Release
    champion_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Routed:
    """Who answers changed."""

    epoch: int
    champion: Release
    challenger: Release | None
    stage: Stage
    """The stage that asked for the route."""


@dataclass(frozen=True, slots=True)
class Promoted:
    """A release became champion by its verdicts."""

    release: Release
    previous_id: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A candidate or release stopped before it answered."""

    release: Release
    stage: str
    reason: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RolledBack:
    """A release that answered was taken back."""

    release: Release
    from_stage: Stage
    to_id: str
    reason: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ApprovalAsked:
    """A release waits for a person before its next stage."""

    release: Release
    to_stage: Stage
    deadline_ms: int


Fact = Created | Entered | Routed | Promoted | Rejected | RolledBack | ApprovalAsked


@dataclass(frozen=True, slots=True)
class Change:
    """What came of an event."""

    state: LoopState
    facts: tuple[Fact, ...] = ()
    """In the order in which they are told."""
    touched: tuple[Release, ...] = ()
    """Releases whose row changed."""
    ignored: str = ""
    """Why nothing changed; empty where something did."""
