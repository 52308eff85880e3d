"""Finds prediction writers that hold the windows of a loop for too long."""

from __future__ import annotations

from dataclasses import dataclass, field

from driftloop.events.prediction_writers import PredictionWatermarks

LONGEST_STEP_S = 5.0
"""At most this much counts between two looks: while this process was paused, records of the writer piled up unread."""

_State = tuple[tuple[int, int, int | None], ...]


@dataclass
class _Wait:
    state: _State
    waited_s: float = 0.0


@dataclass
class OverdueWriters:
    """Counts for how long a writer has written nothing while another writer is ahead of it."""

    _waits: dict[str, _Wait] = field(default_factory=dict)
    _looked_s: float | None = None

    def look(self, watermarks: PredictionWatermarks, now_s: float) -> dict[str, float]:
        """Return the writers that are behind another one, and for how long each has written nothing, in seconds.

        ``now_s``: from a monotonic clock.
        """
        step_s = 0.0 if self._looked_s is None else min(now_s - self._looked_s, LONGEST_STEP_S)
        self._looked_s = now_s
        waits = {}
        for name, state in watermarks.holding().items():
            known = self._waits.get(name)
            waits[name] = _Wait(state, known.waited_s + step_s) if known and known.state == state else _Wait(state)
        self._waits = waits
        return {name: wait.waited_s for name, wait in waits.items()}
