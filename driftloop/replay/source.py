"""What a loop's ``source.py`` gives a replay."""

from __future__ import annotations

from typing import Protocol

import pyarrow as pa


class Source(Protocol):
    """The past of a loop, as columns. A module with these two functions is one."""

    def events(self, start_ms: int, end_ms: int) -> dict[str, pa.Table]:
        """Events with event time in [start, end) by event type: columns named as the fields of its message, sorted by (time, id)."""
        ...

    def requests(self, events: dict[str, pa.Table]) -> pa.Table:
        """Predictions to ask for: the prediction key, ``decision_time_ms`` and every input of the loop, sorted by decision time."""
        ...
