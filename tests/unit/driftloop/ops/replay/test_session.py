from __future__ import annotations

from dataclasses import replace

import pytest

from driftloop.contracts.replay_pb2 import StepAsked
from driftloop.loop import load_loop
from driftloop.ops.replay.session import CallSession, Span, steps_to_request
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


def _completed(*watermarks_ms: int, asked: int = 3) -> dict[int, StepAsked]:
    return {at: StepAsked(loop="orders", watermark_ms=at, asked=asked) for at in watermarks_ms}


@pytest.mark.parametrize(
    ("completed", "resume", "steps"),
    [
        (_completed(), False, [10, 15, 20]),
        (_completed(0, 5, 10), False, [15, 20]),  # the former span's last step
        (_completed(0, 5, 10, asked=0), False, [10, 15, 20]),  # there was no champion yet
        (_completed(0, 5), False, [10, 15, 20]),
        (_completed(), True, [10, 15, 20]),
        (_completed(10, 15), True, [20]),
        (_completed(10, 15, asked=0), True, [20]),
    ],
)
def test_every_step_of_a_span_is_requested_once(
    completed: dict[int, StepAsked], resume: bool, steps: list[int]
) -> None:
    assert list(steps_to_request(Span(10, 20, 5), completed, resume=resume)) == steps
