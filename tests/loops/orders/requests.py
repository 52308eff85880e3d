"""The requests of the caller: one row for each order, decided when its parcel leaves the shop."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc


def requests(events: Mapping[str, pa.Table]) -> pa.Table:
    """Return the requests for events (`driftloop.ops.replay.source.Requests`); NaN for a missing basket."""
    placed = events["orders.placed"]
    columns = {
        "order_ref": placed["order_ref"],
        "decision_time_ms": placed["promised_ms"],
        "store": placed["shop"],
        "channel": placed["channel"],
        "lines": placed["lines"],
        "basket_cents": pc.fill_null(placed["basket_cents"], float("nan")),
    }
    return pa.table(columns).sort_by([("decision_time_ms", "ascending"), ("order_ref", "ascending")])
