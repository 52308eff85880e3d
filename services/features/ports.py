"""Ports of the features service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from driftloop.bus.ports import TopicPartition
from services.features.domain.engine import Advance, FeatureRows
from services.features.domain.state import FeatureState
from services.features.domain.views import ViewSpec


class OnlineStore(Protocol):
    """Feast's online store, written in Feast's layout. One writer."""

    def write(self, loop: str, views: Sequence[ViewSpec], advance: Advance) -> int:
        """Bring the loop's views to the watermark, which readers see after all rows; return the number of rows written.

        A view beyond the watermark does not change, and neither does a newer row.
        """
        ...

    def watermarks(self, loop: str) -> Mapping[str, int]:
        """Return the watermark (UTC ms) of each view."""
        ...

    def check(self) -> None:
        """Raise an error if the store lost what was written to it. Called from time to time."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class OfflineStore(Protocol):
    """Offline views in the lake. One writer."""

    def append(
        self, loop: str, specs: Sequence[ViewSpec], rows: Sequence[FeatureRows], watermark_ms: int, written_at_ms: int
    ) -> list[ViewVersion]:
        """Append the missing rows; every view of the loop is then complete up to the watermark."""
        ...


@dataclass(frozen=True, slots=True)
class ViewVersion:
    """The version of a view."""

    view: str
    path: str
    version: int


@dataclass(frozen=True)
class Checkpoint:
    """The state for a restart. ``positions``: next offset to read, by input partition."""

    positions: Mapping[TopicPartition, int] = field(default_factory=dict)
    loops: Mapping[str, FeatureState] = field(default_factory=dict)
    """Includes loops that do not run now."""
    apart: Mapping[str, Mapping[TopicPartition, int]] = field(default_factory=dict)
    """Positions of the loops that were not read up to ``positions``."""
    topic_ids: Mapping[str, str] = field(default_factory=dict)
    """Ids of the topics of these positions."""
    sequence: int = 0
    """Number of the checkpoint; 0 in those of older versions."""


class Checkpoints(Protocol):
    """Stores the newest checkpoint."""

    def load(self) -> Checkpoint | None:
        """Return the newest checkpoint, or None."""
        ...

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace it atomically."""
        ...
