"""Fills an online store that is behind its checkpoint from the offline views: a new store, or one that lost rows."""

from __future__ import annotations

from typing import Protocol

from driftloop.process import log
from services.features import metrics
from services.features.domain.engine import Advance, FeatureRows
from services.features.domain.state import FeatureState
from services.features.domain.views import ViewSpec
from services.features.ports import OnlineStore


class NewestRows(Protocol):
    """Reads offline views."""

    def newest(self, loop: str, spec: ViewSpec) -> FeatureRows | None:
        """Return the newest row of each entity, or None if the view has no rows."""
        ...


def refill(loop: str, state: FeatureState, online: OnlineStore, offline: NewestRows) -> list[str]:
    """Bring views that are behind the state's watermark up to it; return their names."""
    if state.watermark_ms is None:
        return []
    right = online.watermarks(loop)
    behind = [spec for spec in state.specs if right.get(spec.view, -1) < state.watermark_ms]
    rows = [newest for spec in behind if (newest := offline.newest(loop, spec)) is not None]
    if behind:
        metrics.REFILLED.add(len(behind), loop=loop)
        online.write(loop, behind, Advance(state.watermark_ms, tuple(rows), 0, state.late_events))
        log.get(__name__).warning("online-refilled", loop=loop, views=[spec.view for spec in behind])
    return [spec.view for spec in behind]
