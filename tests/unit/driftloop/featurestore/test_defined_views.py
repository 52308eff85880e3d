from __future__ import annotations

from pathlib import Path

import pytest

from driftloop.featurestore.defined_views import read_defined_views, undefined_inputs, write_defined_views
from driftloop.loop import load_loop
from driftloop.model.bundle import Input, Manifest
from driftloop.process.settings import ROOT, Settings

VIEWS = {"orders_shop_returns": {"count_1d": "double"}, "orders_shop_shelf": {"shelf_units": "double"}}
COUNT = Input("orders_shop_returns__count_1d", "feature", "double", "orders_shop_returns", "count_1d")
UNITS = Input("orders_shop_shelf__shelf_units", "feature", "double", "orders_shop_shelf", "shelf_units")
MANIFEST = Manifest(
    "orders", "run-1", "count", "orders_v1", (COUNT, UNITS, Input("lines", "request", "double")),
    (Input("channel", "request", "string"),), {},
)  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def test_a_loop_that_is_left_out_of_a_start_keeps_its_record(settings: Settings) -> None:
    assert read_defined_views(settings, "orders") is None
    write_defined_views(settings, {"orders": VIEWS, "parcels": {}})
    write_defined_views(settings, {"parcels": {"weights": {"kg": "double"}}})
    assert read_defined_views(settings, "orders") == VIEWS
    assert read_defined_views(settings, "parcels") == {"weights": {"kg": "double"}}


def test_a_damaged_record_is_none_until_the_next_start(settings: Settings) -> None:
    write_defined_views(settings, {"orders": VIEWS})
    (settings.home / "feast" / "views.json").write_bytes(b"{")
    assert read_defined_views(settings, "orders") is None
    write_defined_views(settings, {"orders": VIEWS})
    assert read_defined_views(settings, "orders") == VIEWS


def test_inputs_that_are_gone_or_have_another_type_are_named() -> None:
    prediction = load_loop(ROOT / "tests" / "loops" / "orders").definition.prediction
    assert list(undefined_inputs(MANIFEST, VIEWS, prediction)) == []
    renamed = {"orders_returns": VIEWS["orders_shop_returns"], "orders_shop_shelf": {"shelf_units": "string"}}
    assert list(undefined_inputs(MANIFEST, renamed, prediction)) == [COUNT.name, UNITS.name]
    fewer = prediction.model_copy(update={"inputs": {"lines": prediction.inputs["channel"]}})
    assert list(undefined_inputs(MANIFEST, VIEWS, fewer)) == ["lines", "channel"]
