from __future__ import annotations

from dataclasses import replace

import pytest

from driftloop.loop import load_loop
from driftloop.ops.replay.session import CallSession, Span
from driftloop.process.errors import ConfigError
from driftloop.process.settings import ROOT, Settings


def test_a_loop_without_decision_times_is_refused() -> None:
    orders = load_loop(ROOT / "tests" / "loops" / "orders")
    prediction = orders.definition.prediction.model_copy(update={"clock": "now"})
    live = replace(orders, definition=orders.definition.model_copy(update={"prediction": prediction}))
    with pytest.raises(
        ConfigError, match=r"orders predicts for the current time; set `clock: request` in .*/orders/loop.yaml"
    ):
        CallSession(Settings(), live, Span(0, 10, 5))
