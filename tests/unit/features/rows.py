"""Accepted rows made by hand, and what their features are by the definition alone: no code of the engine is used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from services.features.domain.views import Aggregate, Feed, KeyKind, Latest, ViewSpec

HOUR = 3_600_000
SHOPS = Feed("sale.made", ("shop",))
PAIRS = Feed("sale.made", ("shop", "town"))
KINDS: dict[Feed, tuple[KeyKind, ...]] = {SHOPS: ("string",), PAIRS: ("string", "int64")}


@dataclass(frozen=True)
class Sale:
    """An accepted row, before it is columnar."""

    shop: str
    town: int
    time: int
    arrival: int
    amount: float | None
    offset: int = 0
    colour: str | None = None

    def visible(self, watermark: int) -> bool:
        return max(self.time, self.arrival) < watermark

    def key(self, feed: Feed) -> tuple[str | int, ...]:
        return tuple(getattr(self, name) for name in feed.join_keys)


def batch(sales: Iterable[Sale]) -> pa.RecordBatch:
    rows = list(sales)
    return pa.RecordBatch.from_pydict(
        {
            "event_id": pa.array([f"e{sale.offset}" for sale in rows], pa.string()),
            "event_time_ms": pa.array([sale.time for sale in rows], pa.int64()),
            "arrival_watermark_ms": pa.array([sale.arrival for sale in rows], pa.int64()),
            "source_topic": pa.array(["sale.made" for _ in rows], pa.string()),
            "source_partition": pa.array([0 for _ in rows], pa.int32()),
            "source_offset": pa.array([sale.offset for sale in rows], pa.int64()),
            "shop": pa.array([sale.shop for sale in rows], pa.string()),
            "town": pa.array([sale.town for sale in rows], pa.int64()),
            "amount": pa.array([sale.amount for sale in rows], pa.float64()),
            "colour": pa.array([sale.colour for sale in rows], pa.string()),
        }
    )


def windowed(view: str, feed: Feed, *windows: int) -> ViewSpec:
    aggregates = tuple(
        Aggregate(f"{function}_amount_{window // 1000}s", function, "amount", window)
        for window in windows
        for function in ("count", "sum")
    )
    return ViewSpec(view, feed, KINDS[feed], aggregates)


BY_SHOP = windowed("by_shop", SHOPS, HOUR, 5 * HOUR)
BY_PAIR = windowed("by_pair", PAIRS, 3 * HOUR)
NEWEST = ViewSpec("newest", SHOPS, KINDS[SHOPS], latest=(Latest("amount", "double"), Latest("colour", "string")))
SPECS = (BY_SHOP, BY_PAIR, NEWEST)

Row = tuple[object, ...]


def expected(spec: ViewSpec, sales: Sequence[Sale], watermark: int) -> dict[Row, Row]:
    """Feature row of every entity that was ever visible, from the definition in docs/architecture.md."""
    seen = [sale for sale in sales if sale.visible(watermark)]
    seen.sort(key=lambda sale: (sale.time, sale.offset))
    rows: dict[Row, Row] = {}
    for key in {sale.key(spec.feed) for sale in seen}:
        mine = [sale for sale in seen if sale.key(spec.feed) == key]
        rows[key] = _aggregates(spec, mine, watermark) if spec.aggregates else (mine[-1].amount, mine[-1].colour)
    return rows


def _aggregates(spec: ViewSpec, mine: Sequence[Sale], watermark: int) -> Row:
    row: list[float] = []
    for aggregate in spec.aggregates:
        there = [s.amount for s in mine if s.time >= watermark - aggregate.window_ms and s.amount is not None]
        row.append(float(len(there)) if aggregate.function == "count" else float(sum(there)))
    return tuple(row)
