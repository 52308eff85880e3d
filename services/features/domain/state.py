"""The state for a restart of one loop, without what can be computed again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.features.domain.engine import FeedSnapshot
from services.features.domain.views import ViewSpec


@dataclass(frozen=True)
class FeatureState:
    """One loop at a watermark (UTC ms; None before the first)."""

    specs: Sequence[ViewSpec]
    """The views of this state."""
    watermark_ms: int | None
    late_events: int
    newest: Mapping[int, int]
    """Newest watermark by input partition."""
    waiting: Sequence[int]
    """Known watermarks that the engine has not reached."""
    seen: str
    """`driftloop.bus.dedup.SourceOffsets` as JSON."""
    feeds: Sequence[FeedSnapshot]
