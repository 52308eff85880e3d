"""The chain of causes of an alarm."""

from __future__ import annotations

from typing import Any

from driftloop.contracts import control_pb2 as control
from driftloop.ops.report.picture import chain_picture
from driftloop.readmodel.attempts import incidents
from driftloop.readmodel.event_text import describe_data
from driftloop.readmodel.loop_history import LoopHistory
from tests.helpers.lifecycle import LifecycleEvents, drifting


def nodes(life: LifecycleEvents) -> list[dict[str, Any]]:
    """Return the nodes of the newest incident's picture."""
    history = LoopHistory(life.loop, life.events)
    picture = chain_picture(incidents(history)[-1], history)
    assert picture.component == "chain"
    events: list[dict[str, Any]] = picture.values["events"]
    return events


def kinds(life: LifecycleEvents) -> list[str]:
    return [node["type"].split(".")[-1] if node["sublabel"] != "closed" else node["label"] for node in nodes(life)]


def test_it_runs_from_the_evidence_to_the_promotion() -> None:
    names = kinds(drifting())
    assert names[:5] == ["4 windows", "DriftDetected", "RetrainRequested", "RunStarted", "CandidateTrained"]
    assert names[-2:] == ["ChampionPromoted", "RouteConverged"]


def test_every_node_but_the_first_has_its_cause_before_it() -> None:
    before: set[str] = set()
    for node in nodes(drifting()):
        assert not before or set(node["causes"]) & before, node
        before.add(node["id"])


def test_verdicts_that_decided_nothing_are_left_out() -> None:
    life = drifting()
    shadow = next(
        event for event in life.events if event.type.endswith("StageEntered") and event.data.release_id == "r-c"
    )
    before = nodes(life)
    life.verdict(26, "c", shadow, "shadow", "NOT_KNOWN_YET")
    assert nodes(life) == before


def test_a_command_of_a_person_is_a_cause() -> None:
    life = LifecycleEvents()
    life.window(0, "r-a")
    alarm, command = life.alarm(1, "r-a", blocks=1), life.command(1, control.Retrain(who="anna", why="prices"))
    request = life.request(1, "c", alarm, command)
    by_id = {node["id"]: node for node in nodes(life)}
    assert by_id[command.id]["line"] == describe_data(command.data)
    assert set(by_id[request.id]["causes"]) == {alarm.id, command.id}


def test_an_alarm_alone_is_one_node() -> None:
    life = LifecycleEvents()
    life.alarm(1, "r-a")
    assert [node["label"] for node in nodes(life)] == ["returns"]
