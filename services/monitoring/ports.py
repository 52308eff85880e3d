"""Interfaces and data that the outcome join needs from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from driftloop.bus.dedup import SourceOffsets
from driftloop.bus.ports import TopicPartition
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


@dataclass
class JoinCheckpoint:
    """Position in the input after the last transaction."""

    positions: dict[TopicPartition, int] = field(default_factory=dict)
    """Next offset to read."""
    seen: dict[str, SourceOffsets] = field(default_factory=dict)
    """Offsets of the raw records whose outcomes were read, by loop."""


class Transaction(Protocol):
    """One transaction on the state: all of it is written, or nothing."""

    def add(self, changes: Changes) -> None:
        """Add rows and releases."""
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
