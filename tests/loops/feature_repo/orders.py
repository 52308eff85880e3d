"""Stored features of the orders loop: returns by shop and in total, and the newest shelf count of each shop."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from feast import Entity, FeatureService, Field, StreamFeatureView, ValueType
from feast.aggregation import Aggregation
from feast.types import Float64, String

from feature_repo.sources import stream_source

LOOP = "orders"
DAY = timedelta(days=1)

market = Entity(name="market", join_keys=["market"], value_type=ValueType.STRING)
shop = Entity(name="shop", join_keys=["shop"], value_type=ValueType.STRING)


def _view(
    name: str, event_type: str, entity: Entity, features: Sequence[str], sums: Sequence[Aggregation] = ()
) -> StreamFeatureView:
    return StreamFeatureView(
        name=name,
        entities=[entity],
        ttl=timedelta(0),
        schema=[
            Field(name=entity.join_key, dtype=String),
            *(Field(name=feature, dtype=Float64) for feature in features),
        ],
        source=stream_source(LOOP, event_type, name),
        aggregations=list(sums),
        timestamp_field="event_timestamp",
        online=True,
        offline=True,
        tags={"loop": LOOP},
    )


def _windowed(
    name: str, event_type: str, entity: Entity, column: str, windows: Sequence[timedelta]
) -> StreamFeatureView:
    sums = [
        Aggregation(column=column, function=function, time_window=window)
        for window in windows
        for function in ("count", "sum")
    ]
    return _view(name, event_type, entity, [total.resolved_name(total.time_window) for total in sums], sums)


shop_returns = _windowed("orders_shop_returns", "orders.inspected", shop, "items_back", (DAY, 7 * DAY))
market_returns = _windowed("orders_market_returns", "orders.inspected", market, "items_back", (3 * DAY,))
shop_lines = _windowed("orders_shop_lines", "orders.placed", shop, "lines", (DAY,))
shop_shelf = _view("orders_shop_shelf", "shops.shelved", shop, ["shelf_units"])

orders_v1 = FeatureService(
    name="orders_v1", features=[shop_returns, market_returns, shop_lines, shop_shelf], tags={"loop": LOOP}
)
