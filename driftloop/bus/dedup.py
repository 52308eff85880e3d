"""Drops rows that were read before.

Rows have their offset in the raw topic, and a redelivery arrives in the same order.
"""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray


class SourceOffsets:
    """The newest raw offset of each stream of rows. A reader names its streams; each is in order of raw offset."""

    def __init__(self, newest: dict[str, int] | None = None) -> None:
        self._newest = dict(newest or {})

    def fresh(self, stream: str, offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which rows (raw offsets, int64 [n], ascending) are new to the stream, and mark them as seen."""
        seen = self._newest.get(stream, -1)
        mask: NDArray[np.bool_] = offsets > seen
        if len(offsets):
            self._newest[stream] = max(seen, int(offsets[-1]))
        return mask

    def to_json(self) -> str:
        return json.dumps(self._newest, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> SourceOffsets:
        return cls(json.loads(text))
