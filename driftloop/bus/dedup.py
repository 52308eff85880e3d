"""Drops what was seen already.

Rows carry where they stood in the raw topic, and a redelivery comes in the same order.
"""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray


class SourceOffsets:
    """Newest raw offset seen on each stream of rows; a stream is named by its reader, in order of raw offset."""

    def __init__(self, newest: dict[str, int] | None = None) -> None:
        self._newest = dict(newest or {})

    def fresh(self, stream: str, offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which rows, given by their raw offsets (int64 [n], ascending), are new to the stream; notes them as seen."""
        seen = self._newest.get(stream, -1)
        mask: NDArray[np.bool_] = offsets > seen
        if len(offsets):
            self._newest[stream] = max(seen, int(offsets[-1]))
        return mask

    def to_json(self) -> str:
        """What to keep in a checkpoint."""
        return json.dumps(self._newest, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> SourceOffsets:
        """Back from a checkpoint."""
        return cls(json.loads(text))
