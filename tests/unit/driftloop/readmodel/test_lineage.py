from __future__ import annotations

import pytest

from driftloop.contracts import predictions_pb2 as predictions
from driftloop.readmodel.lineage import Lineage, Node
from driftloop.readmodel.loop_history import LoopHistory
from tests.helpers.event_log import DAY_MS, LOOP, two_champions

EVENTS = two_champions().events
KNOWN = {event.id: event for event in EVENTS}
LINEAGE = Lineage(LoopHistory(LOOP, EVENTS), KNOWN.get)


def prediction(epoch: int, release: str) -> predictions.PredictionServed:
    return predictions.PredictionServed(
        loop=LOOP, prediction_id="p-1", key="k", decision_time_ms=8 * DAY_MS, release_id=release, arm="challenger",
        score=0.3, route_epoch=epoch, feature_watermark_ms=8 * DAY_MS,
    )  # fmt: skip


def kinds(nodes: list[Node]) -> set[str]:
    return {node.kind for node in nodes}


def test_a_prediction_leads_back_to_the_windows_of_the_alarm_and_the_tables_of_the_run() -> None:
    nodes = LINEAGE.of_prediction(prediction(3, "r-2"))
    assert nodes[0].id == "p-1"
    assert {"release", "route", "run", "bundle", "request", "alarm", "verdict", "window", "table"} <= kinds(nodes)
    ids = {node.id for node in nodes}
    assert {f"{LOOP}:window {day}" for day in (3, 4, 5, 7)} <= ids
    assert {"orders.placed@7", "views/orders_shop@3", f"sha256:{2:064x}", "run-2", "r-2"} <= ids


def test_every_id_in_it_can_be_asked_for_in_turn() -> None:
    for node in LINEAGE.of_prediction(prediction(4, "r-2"))[1:]:
        assert LINEAGE.of(node.id)[0].id == node.id


def test_causes_are_nodes_of_the_same_answer() -> None:
    nodes = LINEAGE.of_prediction(prediction(5, "r-1"))
    ids = {node.id for node in nodes}
    assert all(set(node.causes) <= ids for node in nodes)
    assert any(node.kind == "command" for node in nodes)


def test_each_stands_once_though_many_lead_to_it() -> None:
    nodes = LINEAGE.of("r-2")
    assert len({node.id for node in nodes}) == len(nodes)


def test_a_cause_that_no_log_holds_any_more_is_left_out() -> None:
    few = [event for event in EVENTS if not event.id.startswith(f"{LOOP}:window")]
    nodes = Lineage(LoopHistory(LOOP, few), {event.id: event for event in few}.get).of("r-2")
    assert "window" not in kinds(nodes)
    assert "alarm" in kinds(nodes)


@pytest.mark.parametrize("name", ["", "nothing", "orders.placed@8", "sha256:00", "p-1"])
def test_what_nobody_bears_has_none(name: str) -> None:
    assert LINEAGE.of(name) == []
