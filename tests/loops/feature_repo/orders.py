"""Stored features of the orders loop: returns by shop and in total, and the newest shelf count of each shop."""

from __future__ import annotations

from datetime import timedelta

from feast import Entity, FeatureService, ValueType

from feature_repo.views import newest_view, windowed_view

LOOP = "orders"
DAY = timedelta(days=1)

market = Entity(name="market", join_keys=["market"], value_type=ValueType.STRING)
shop = Entity(name="shop", join_keys=["shop"], value_type=ValueType.STRING)

shop_returns = windowed_view(LOOP, "orders_shop_returns", "orders.inspected", [shop], ["items_back"], [DAY, 7 * DAY])
market_returns = windowed_view(LOOP, "orders_market_returns", "orders.inspected", [market], ["items_back"], [3 * DAY])
shop_lines = windowed_view(LOOP, "orders_shop_lines", "orders.placed", [shop], ["lines"], [DAY])
shop_shelf = newest_view(LOOP, "orders_shop_shelf", "shops.shelved", [shop], ["shelf_units"])

orders_v1 = FeatureService(
    name="orders_v1", features=[shop_returns, market_returns, shop_lines, shop_shelf], tags={"loop": LOOP}
)
