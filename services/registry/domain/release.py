"""A loop's releases and the changes that can happen to them.

A release's stages:

    created ──► shadow ──► canary (one for each step of the policy) ──► champion ──► retired
       │           │          │                                          │  ▲           │
       └───────────┴──────────┴───────────► rejected, rolled-back ◄──────┘  └───────────┘
                                                                            on rollback

`rejected` and `rolled-back` are final. A policy may begin with any step. A loop's first champion skips all steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from driftloop.events.release_end import ReleaseEnd


class Stage(StrEnum):
    """The stage of a release."""

    CREATED = "created"
    SHADOW = "shadow"
    CANARY = "canary"
    CHAMPION = "champion"
    RETIRED = "retired"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled-back"


@dataclass(frozen=True, slots=True)
class ReleaseRecord:
    """A bundle with a name and a stage."""

    release_id: str
    run_id: str
    request_id: str
    bundle_uri: str
    bundle_digest: str
    chain: str
    """Correlation id of its chain."""
    stage: Stage = Stage.CREATED
    from_stage: Stage = Stage.CREATED
    step: int = -1
    """Index into the policy's steps; -1 if the stage is not a rollout step."""
    share: float = 0.0
    """Share of keys that it answers."""
    epoch: int = 0
    """Epoch of its entry into the stage."""
    entered_ms: int = 0
    """Event time of its entry into the stage."""
    approval_deadline_ms: int | None = None
    """Set while it waits for an approval."""
    replaced: str = ""
    """The champion that it replaced; empty if it is not the champion, or was the first."""


@dataclass(frozen=True, slots=True)
class LoopReleases:
    """A loop's current releases."""

    loop: str
    epoch: int = 0
    """Counts every change of the answering releases, from 1."""
    time_ms: int = 0
    """Newest event time of a decision; it never decreases."""
    paused: bool = False
    paused_wall_ms: int = 0
    """Wall time of the newest pause or resume."""
    champion: ReleaseRecord | None = None
    open: ReleaseRecord | None = None
    """The release in shadow or canary, if any."""
    former: tuple[ReleaseRecord, ...] = ()
    """Retired champions that a rollback can restore, oldest first."""


@dataclass(frozen=True, slots=True)
class Created:
    """A candidate became a release."""

    release: ReleaseRecord


@dataclass(frozen=True, slots=True)
class Entered:
    """A release entered its stage."""

    release: ReleaseRecord
    champion_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Routed:
    """The answering releases changed."""

    epoch: int
    champion: ReleaseRecord
    challenger: ReleaseRecord | None
    stage: Stage
    """The stage that asked for the route."""


@dataclass(frozen=True, slots=True)
class Promoted:
    """A release became champion by its verdicts."""

    release: ReleaseRecord
    previous_id: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A candidate or release ended before it answered."""

    release: ReleaseRecord
    stage: str
    reason: str
    evidence: tuple[str, ...]
    cause: ReleaseEnd


@dataclass(frozen=True, slots=True)
class RolledBack:
    """A release that answered was rolled back."""

    release: ReleaseRecord
    from_stage: Stage
    to_id: str
    reason: str
    evidence: tuple[str, ...]
    cause: ReleaseEnd


@dataclass(frozen=True, slots=True)
class ApprovalRequested:
    """A release waits for an approval before its next stage."""

    release: ReleaseRecord
    to_stage: Stage
    deadline_ms: int


Fact = Created | Entered | Routed | Promoted | Rejected | RolledBack | ApprovalRequested


@dataclass(frozen=True, slots=True)
class Change:
    """The result of an event."""

    state: LoopReleases
    facts: tuple[Fact, ...] = ()
    """In the order of publication."""
    touched: tuple[ReleaseRecord, ...] = ()
    """Releases whose row changed."""
    ignored: str = ""
    """Why nothing changed; empty if something did."""
