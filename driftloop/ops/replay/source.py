"""What a loop provides for a replay, as functions of two modules in its folder: ``source.py`` and ``requests.py``."""

from __future__ import annotations

from typing import Protocol

import pyarrow as pa


class Source(Protocol):
    """``source.py``: the past of a loop, as columns."""

    def events(self, start_ms: int, end_ms: int) -> dict[str, pa.Table]:
        """Return events with event time in [start, end), by event type.

        Columns have the names of the message's fields; rows are sorted by (time, id).
        """
        ...


class Requests(Protocol):
    """``requests.py``: the requests of a caller."""

    def requests(self, events: dict[str, pa.Table]) -> pa.Table:
        """Return the predictions to request, sorted by decision time.

        Columns: the prediction key, ``decision_time_ms`` and every input of the loop.
        """
        ...
