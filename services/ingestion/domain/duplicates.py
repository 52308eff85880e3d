"""Detects events that a producer sent twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

_SWEEP_AT = 4096


class DuplicateWindow:
    """Remembers the newest event time of each id of one event type.

    An event is a duplicate if its id was accepted with an event time at most ``window_ms`` away. Ids are forgotten two
    windows behind the loop's watermark. After that, only an event late by more than a window could repeat them.
    """

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self._newest: dict[str, int] = {}
        self._sweep_at = _SWEEP_AT

    def __len__(self) -> int:
        return len(self._newest)

    def horizon_ms(self, watermark_ms: int | None) -> int:
        """Return the event time below which ids are forgotten."""
        return -1 if watermark_ms is None else watermark_ms - 2 * self._window_ms

    def remember(self, ids: Iterable[str], times_ms: Iterable[int]) -> None:
        """Remember events that were accepted before."""
        newest = self._newest
        for name, time_ms in zip(ids, times_ms, strict=True):
            if newest.get(name, -1) < time_ms:
                newest[name] = time_ms

    def repeated(self, ids: Sequence[str], times_ms: Sequence[int], watermark_ms: int | None) -> NDArray[np.bool_]:
        """Return which events, in order, are duplicates (bool [n]), and remember the others."""
        horizon, window, newest = self.horizon_ms(watermark_ms), self._window_ms, self._newest
        is_duplicate = np.zeros(len(ids), dtype=bool)
        for row, (name, time_ms) in enumerate(zip(ids, times_ms, strict=True)):
            known = newest.get(name, -1)
            if known >= horizon and known >= 0 and abs(time_ms - known) <= window:
                is_duplicate[row] = True
            elif time_ms > known:
                newest[name] = time_ms
        self._sweep(horizon)
        return is_duplicate

    def _sweep(self, horizon: int) -> None:
        if len(self._newest) > self._sweep_at:
            self._newest = {name: time_ms for name, time_ms in self._newest.items() if time_ms >= horizon}
            self._sweep_at = max(_SWEEP_AT, 2 * len(self._newest))
