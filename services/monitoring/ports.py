"""What the outcome join needs from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from driftloop.bus.dedup import SourceOffsets
from driftloop.bus.ports import TopicPartition
from services.monitoring.domain.grid import Reference
from services.monitoring.domain.monitor import Closed, LoopMonitor, Rules
from services.monitoring.domain.rows import Outcome, Prediction
from services.monitoring.domain.window import Restated


@dataclass(frozen=True, slots=True)
class Release:
    """A release as the registry says about it; what is not known yet is empty."""

    loop: str
    release_id: str
    uri: str = ""
    digest: str = ""
    stage: str = ""


@dataclass(frozen=True, slots=True)
class LoggedPrediction:
    """A prediction with the bytes that it was read from."""

    loop: str
    row: Prediction
    record: bytes


@dataclass
class Changes:
    """What a batch of records adds to the state."""

    predictions: list[LoggedPrediction] = field(default_factory=list)
    outcomes: list[tuple[str, Outcome]] = field(default_factory=list)
    releases: dict[str, Release] = field(default_factory=dict)
    positions: dict[TopicPartition, int] = field(default_factory=dict)
    """Next offset to read."""


@dataclass
class Checkpoint:
    """Where the input was left."""

    positions: dict[TopicPartition, int] = field(default_factory=dict)
    seen: dict[str, SourceOffsets] = field(default_factory=dict)
    """Raw offsets of the outcomes taken, by loop."""


class Transaction(Protocol):
    """One transaction on the state; what it holds stands together or not at all."""

    def add(self, changes: Changes) -> None:
        """Add rows and releases."""
        ...

    def close(self, rules: Rules, closed: Closed) -> Sequence[Restated]:
        """Settle what a closed window settled, and put its `monitoring.window-closed` among the events to send.

        After it comes a `monitoring.window-restated` for each earlier window of which it brought corrections; returns
        these, in order of time.
        """
        ...

    def save(self, monitors: Mapping[str, LoopMonitor], checkpoint: Checkpoint) -> None:
        """Note positions and watermarks."""
        ...


class References(Protocol):
    """Opens bundles."""

    def open(self, release: Release) -> Reference:
        """The reference of a release.

        Raises:
            BundleError: its bundle is incomplete, or differs from its digest.
        """
        ...
