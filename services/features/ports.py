"""What the features service needs of the world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from driftloop.bus.ports import TopicPartition
from services.features.domain.engine import Advance, FeatureRows
from services.features.domain.state import LoopState
from services.features.domain.views import ViewSpec


class OnlineStore(Protocol):
    """Feast's online store, written in its own layout. One writer."""

    def write(self, loop: str, views: Sequence[ViewSpec], advance: Advance) -> int:
        """Make the loop's views right up to the watermark, whole or not at all; returns the rows written.

        A view that is right beyond the watermark already is left as it is, and so is any row that is newer.
        """
        ...

    def watermarks(self, loop: str) -> Mapping[str, int]:
        """Up to when (UTC ms) each view is right, by view."""
        ...

    def close(self) -> None:
        """Release it."""
        ...


class OfflineStore(Protocol):
    """Offline views in the lake. One writer."""

    def append(
        self, loop: str, specs: Sequence[ViewSpec], rows: Sequence[FeatureRows], watermark_ms: int, written_at_ms: int
    ) -> list[ViewVersion]:
        """Append the rows that the lake does not hold yet; every view of the loop is then whole up to the watermark."""
        ...


@dataclass(frozen=True, slots=True)
class ViewVersion:
    """Where a view stands."""

    view: str
    path: str
    version: int


@dataclass(frozen=True)
class Checkpoint:
    """All that a restart needs. ``positions``: next offset to read, by input partition."""

    positions: Mapping[TopicPartition, int] = field(default_factory=dict)
    loops: Mapping[str, LoopState] = field(default_factory=dict)


class Checkpoints(Protocol):
    """Keeps the newest checkpoint."""

    def load(self) -> Checkpoint | None:
        """The newest one, whole; None where there never was one."""
        ...

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace it, whole or not at all."""
        ...
