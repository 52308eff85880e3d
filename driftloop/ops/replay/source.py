"""What a loop gives a replay, as functions of two modules in its folder: ``source.py`` and ``requests.py``."""

from __future__ import annotations

from typing import Protocol

import pyarrow as pa


class Source(Protocol):
    """``source.py``: the past of a loop, as columns."""

    def events(self, start_ms: int, end_ms: int) -> dict[str, pa.Table]:
        """Events with event time in [start, end), by event type.

        Columns are named as the fields of its message; rows are sorted by (time, id).
        """
        ...


class Requests(Protocol):
    """``requests.py``: what a caller asked for."""

    def requests(self, events: dict[str, pa.Table]) -> pa.Table:
        """Predictions to ask for, sorted by decision time.

        Columns: the prediction key, ``decision_time_ms`` and every input of the loop.
        """
        ...
