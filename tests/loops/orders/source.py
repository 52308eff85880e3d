"""Synthetic orders: a daily season, different shops, missing outcomes, and a change on a given day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
START_MS = 1_600_000_000_000 // DAY_MS * DAY_MS
"""Midnight UTC, 13 September 2020."""

SHOPS = ("ash", "birch", "cedar", "elm", "fir", "oak", "pine", "yew")
CHANNELS = ("counter", "phone", "web")


@dataclass(frozen=True)
class OrderHistory:
    """Parameters of the events. From `turn_day` on, `turn_factor` times as many items are returned."""

    days: int = 14
    orders_a_day: int = 200
    seed: int = 0
    turn_day: int | None = None
    turn_factor: float = 2.5
    never_inspected: float = 0.2
    slowly_inspected: float = 0.0
    """Share of inspections that happen two days later, some of them after the loop's horizon."""
    start_ms: int = START_MS


ORDER_HISTORY = OrderHistory(days=22, turn_day=12, slowly_inspected=0.05)
"""The events that a replay sends."""


def events(start_ms: int, end_ms: int) -> dict[str, pa.Table]:
    """Return the events of `ORDER_HISTORY` in [start, end) (`driftloop.ops.replay.source.Source`)."""
    return {name: _between(table, start_ms, end_ms) for name, table in invent(ORDER_HISTORY).items()}


def _between(table: pa.Table, start_ms: int, end_ms: int) -> pa.Table:
    time = table["at_ms"]
    return table.filter(pc.and_(pc.greater_equal(time, start_ms), pc.less(time, end_ms)))


def invent(story: OrderHistory) -> dict[str, pa.Table]:
    """Return events by type in order of event time, columns as in the protos; a tenth of ``basket_cents`` is null."""
    random = np.random.default_rng(story.seed)
    count = story.days * story.orders_a_day
    at_ms = np.sort(story.start_ms + random.integers(0, story.days * DAY_MS, count))
    shop = random.integers(0, len(SHOPS), count)
    channel = random.choice(len(CHANNELS), count, p=[0.2, 0.2, 0.6])
    lines = 1 + random.poisson(3.0, count)
    basket = np.round(lines * random.lognormal(7.0, 0.4, count))
    ref = np.array([f"o-{story.seed}-{number:06d}" for number in range(count)])
    promised_ms = at_ms + random.integers(1, 12, count) * HOUR_MS
    mean = _mean_returns(story, shop, channel, lines, promised_ms)
    returned = np.minimum(random.poisson(mean), lines)
    inspected = random.random(count) >= story.never_inspected
    inspected_ms = promised_ms + HOUR_MS + random.integers(0, 48 * HOUR_MS, count)
    slow = np.random.default_rng((story.seed, 1)).random(count) < story.slowly_inspected
    inspected_ms = inspected_ms + slow * 48 * HOUR_MS
    order = np.flatnonzero(inspected)[np.argsort(inspected_ms[inspected], kind="stable")]
    return {
        "orders.placed": pa.table(
            {
                "uid": np.char.add("p-", ref),
                "at_ms": at_ms,
                "order_ref": ref,
                "shop": np.array(SHOPS)[shop],
                "channel": np.array(CHANNELS)[channel],
                "lines": lines,
                "basket_cents": pa.array(basket, mask=random.random(count) < 0.1),
                "promised_ms": promised_ms,
            }
        ),
        "orders.inspected": pa.table(
            {
                "uid": np.char.add("i-", ref[order]),
                "at_ms": inspected_ms[order],
                "order_ref": ref[order],
                "shop": np.array(SHOPS)[shop[order]],
                "returned": returned[order],
            }
        ),
        "shops.shelved": _shelves(story, random),
    }


def _mean_returns(
    story: OrderHistory,
    shop: NDArray[np.int64],
    channel: NDArray[np.int64],
    lines: NDArray[np.int64],
    promised_ms: NDArray[np.int64],
) -> NDArray[np.float64]:
    mean = lines * 0.12 * (1 + shop / 4) * np.array([0.3, 0.8, 1.4])[channel]
    if story.turn_day is not None:
        mean = np.where(promised_ms >= story.start_ms + story.turn_day * DAY_MS, mean * story.turn_factor, mean)
    return np.asarray(mean, dtype=np.float64)


def _shelves(story: OrderHistory, random: np.random.Generator) -> pa.Table:
    """Return two shelf counts per shop and day."""
    steps = np.arange(story.days * 2)
    at_ms = np.repeat(story.start_ms + steps * 12 * HOUR_MS + HOUR_MS // 2, len(SHOPS))
    shop = np.tile(np.array(SHOPS), len(steps))
    return pa.table(
        {
            "uid": np.array([f"s-{story.seed}-{name}-{at}" for name, at in zip(shop, at_ms, strict=True)]),
            "at_ms": at_ms,
            "shop": shop,
            "shelf_units": np.round(random.gamma(4.0, 50.0, len(shop))),
        }
    )
