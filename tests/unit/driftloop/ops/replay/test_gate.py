from __future__ import annotations

from typing import Any

import pytest

from driftloop.contracts import features_pb2 as features
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import replay_pb2 as replay
from driftloop.events.envelope import Envelope
from driftloop.ops.replay.gate import Gate
from driftloop.readmodel.event_text import day

DAY = 86_400_000
HOUR = 3_600_000


def _event(data: Any, loop: str = "orders") -> Envelope[Any]:
    data.loop = loop
    return Envelope(f"{data}", "/driftloop/x", data.DESCRIPTOR.full_name, loop, 0, 0, "chain", None, None, data)


def _right_up_to(watermark_ms: int) -> Envelope[Any]:
    return _event(features.WatermarkAdvanced(watermark_ms=watermark_ms))


def _closed(end_ms: int) -> Envelope[Any]:
    return _event(monitoring.WindowClosed(window_id=f"{end_ms}", end_ms=end_ms))


def _decided(end_ms: int, decider: str) -> Envelope[Any]:
    return _event(monitoring.WindowDecided(window_id=f"{end_ms}", end_ms=end_ms, decider=decider))


@pytest.fixture
def gate() -> Gate:
    """A loop whose first watermark is an hour into day 10."""
    gate = Gate("orders", DAY)
    gate.process(_right_up_to(10 * DAY + HOUR))
    return gate


def test_a_step_waits_for_the_features(gate: Gate) -> None:
    at = 10 * DAY + 2 * HOUR
    assert gate.waits_for(at) == ["features are not complete up to the step yet"]
    gate.process(_right_up_to(at))
    assert gate.at_rest(at)


def test_features_never_go_back(gate: Gate) -> None:
    gate.process(_right_up_to(10 * DAY + HOUR - 1))
    assert gate.at_rest(10 * DAY + HOUR)


def test_the_first_day_waits_for_no_window(gate: Gate) -> None:
    gate.process(_right_up_to(11 * DAY - HOUR))
    assert gate.at_rest(11 * DAY - HOUR)


def test_a_boundary_waits_for_its_window_and_all_deciders(gate: Gate) -> None:
    boundary = 11 * DAY
    gate.process(_right_up_to(boundary + HOUR))
    for at in (boundary, boundary + HOUR):
        assert gate.waits_for(at) == [f"the window that ends at {day(boundary)} is not closed yet"]
    gate.process(_closed(boundary))
    for decider in ("detectors", "evaluation", "training"):
        assert not gate.at_rest(boundary)
        gate.process(_decided(boundary, decider))
    assert gate.at_rest(boundary)
    assert gate.at_rest(boundary + HOUR)


def test_an_ignored_decider_is_not_awaited() -> None:
    gate = Gate("orders", DAY, ("training",))
    gate.process(_right_up_to(10 * DAY))
    gate.process(_right_up_to(11 * DAY))
    gate.process(_closed(11 * DAY))
    gate.process(_decided(11 * DAY, "training"))
    assert gate.at_rest(11 * DAY)


def test_a_first_watermark_on_a_boundary_has_no_window_behind_it() -> None:
    gate = Gate("orders", DAY)
    gate.process(_right_up_to(10 * DAY))
    assert gate.at_rest(10 * DAY)


def test_the_newest_requested_step_is_stored(gate: Gate) -> None:
    for at in (5, 9, 7):
        gate.process(_event(replay.StepAsked(watermark_ms=at)))
    assert gate.asked_ms == 9


def test_other_loops_are_ignored(gate: Gate) -> None:
    gate.process(_event(features.WatermarkAdvanced(watermark_ms=20 * DAY), loop="parcels"))
    gate.process(_event(replay.StepAsked(watermark_ms=20 * DAY), loop="parcels"))
    assert (gate.features_ms, gate.asked_ms) == (10 * DAY + HOUR, -1)
