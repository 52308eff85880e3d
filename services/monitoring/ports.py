"""Interfaces and data that the outcome join needs from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from driftloop.bus.dedup import SourceOffsets
from driftloop.bus.ports import TopicPartition
from driftloop.events.envelope import Draft
from driftloop.runner.loop_positions import EVERYTHING, LoopPositions
from services.monitoring.domain.monitor import ClosedWindow, LoopMonitor, WindowRules
from services.monitoring.domain.psi import Reference
from services.monitoring.domain.rows import OutcomeRow, Prediction
from services.monitoring.domain.window import RestatedWindow


@dataclass(frozen=True, slots=True)
class ReleaseInfo:
    """What the registry's events say about a release; unknown fields are empty."""

    loop: str
    release_id: str
    uri: str = ""
    digest: str = ""
    stage: str = ""


@dataclass(frozen=True, slots=True)
class LoggedPrediction:
    """A prediction with the bytes of its record."""

    loop: str
    row: Prediction
    record: bytes


@dataclass
class Changes:
    """Additions to the state from a batch of records."""

    predictions: list[LoggedPrediction] = field(default_factory=list)
    outcomes: list[tuple[str, OutcomeRow]] = field(default_factory=list)
    releases: dict[str, ReleaseInfo] = field(default_factory=dict)
    given_up: list[Draft] = field(default_factory=list)
    """`monitoring.writer-given-up`, by partition."""


@dataclass(frozen=True, slots=True)
class KnownOutcomes:
    """What a loop has read, if its offsets are lost: outcomes before a closed window's end, and these rows."""

    closed_ms: int
    row_ids: frozenset[str]

    def has(self, row: OutcomeRow) -> bool:
        return row.visible_ms < self.closed_ms or row.row_id in self.row_ids


@dataclass
class JoinCheckpoint:
    """Position in the input after the last transaction."""

    positions: dict[TopicPartition, int] = field(default_factory=dict)
    """Next offset to read."""
    seen: dict[str, SourceOffsets] = field(default_factory=dict)
    """Offsets of the raw records whose outcomes were read, by loop."""
    topic_ids: Mapping[str, str] = field(default_factory=dict)
    """Ids of the topics of these positions."""
    loops: LoopPositions = EVERYTHING
    """Where each loop was read up to."""
    known: Mapping[str, KnownOutcomes] = field(default_factory=dict)
    """Of loops with rows and without a stored state: older versions forgot it when a loop was left out."""
    left_out: Mapping[str, Any] = field(default_factory=dict)
    """Stored states of the loops that are not watched now."""


class Transaction(Protocol):
    """One transaction on the state: all of it is written, or nothing."""

    def add(self, changes: Changes) -> Sequence[Draft]:
        """Add rows, releases and events; return the events that are new."""
        ...

    def close(self, rules: WindowRules, closed: ClosedWindow) -> Sequence[RestatedWindow]:
        """Write the effects of a closed window, and put its `monitoring.window-closed` in the outbox.

        A `monitoring.window-restated` follows for each earlier window that its corrections change. Returns these
        windows,
        in order of time.
        """
        ...

    def save(self, monitors: Mapping[str, LoopMonitor], checkpoint: JoinCheckpoint) -> None:
        """Save positions and watermarks."""
        ...


class References(Protocol):
    """Opens the references of releases."""

    def open(self, release: ReleaseInfo) -> Reference:
        """Return the reference of a release.

        Raises:
            BundleError: the bundle is incomplete, or differs from its digest.
        """
        ...
