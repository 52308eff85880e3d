"""Every command to query and control the running system, as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.contracts import control_api_pb2 as api
from driftloop.contracts import registry_pb2 as registry
from driftloop.events.event_log import read_events
from driftloop.ops.control_client import ControlClient
from tests.e2e.running.commands import WHY, bring_to_stage, run_command, run_json, state
from tests.e2e.running.system import RunningSystem
from tests.helpers.eventually import assert_eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200), pytest.mark.surface]

CONVERGED_S = 5.0
DAYS = 35
"""The replay has at least this many days with a window."""


@pytest.fixture(scope="module")
def control(running: RunningSystem) -> Iterator[ControlClient]:
    with ControlClient(running.settings.control_grpc) as client:
        yield client


def test_the_timeline_shows_alarm_promotion_and_rejection(running: RunningSystem) -> None:
    events = [json.loads(line) for line in run_command(running, "timeline", "--json", "-n", "0").splitlines()]
    own = [event for event in events if event["loop"] == running.loop.name]
    assert {event["kind"] for event in own} >= {"DriftDetected", "ChampionPromoted", "ReleaseRejected"}
    assert {event["outcome"] for event in own if event["kind"] == "DriftDetected"} == {"trigger", "watch"}
    assert "canary" in {event["stage"] for event in own if event["kind"] == "StageEntered"}
    newest = [json.loads(line) for line in run_command(running, "timeline", "--json", "-n", "3").splitlines()]
    assert len(newest) == 3
    assert all(event["line"] and event["payload"] for event in newest)


def test_history_shows_what_was_live_when_and_why(running: RunningSystem) -> None:
    serving_periods = run_json(running, "history", running.loop.name)
    assert [period["epoch"] for period in serving_periods] == list(range(1, len(serving_periods) + 1))
    assert all(period["because"] and period["who"] == "driftloop" for period in serving_periods)
    assert all("converged" in period for period in serving_periods)
    [then] = run_json(running, "history", running.loop.name, "--at", "2013-02-20")
    assert then["champion"] == serving_periods[0]["champion"]
    assert then["champion"] in run_command(running, "history")


def test_kpis_and_reports_come_from_the_log(running: RunningSystem) -> None:
    loop = running.loop.name
    kpis = run_json(running, "kpis", loop)
    assert loop in json.dumps(kpis)
    assert "time to repair" in run_command(running, "kpis", loop)
    page = running.line.out / "loop.html"
    run_command(running, "report", loop, "-o", str(page))
    assert "What changed" in page.read_text()
    card = running.line.out / "card.html"
    run_command(running, "report", state(running).champion, "-o", str(card))
    assert state(running).champion in card.read_text()
    assert run_json(running, "report", loop)["loop"] == loop


def test_every_id_in_the_lineage_of_a_prediction_resolves(running: RunningSystem, control: ControlClient) -> None:
    served = running.predictions()
    name = str(served.id[~served.probe][-1])
    lineage = control.call("GetLineage", api.GetLineageRequest(id=name))
    assert {node.kind for node in lineage.nodes} >= {
        "prediction", "route", "release", "bundle", "run", "request", "alarm", "verdict", "window", "table",
    }  # fmt: skip
    for node in lineage.nodes:
        again = control.call("GetLineage", api.GetLineageRequest(id=node.id))
        assert again.nodes[0].id == node.id
    assert name in run_command(running, "lineage", name)
    assert run_json(running, "lineage", name)["nodes"][0]["kind"] == "prediction"
    loop_lineage = run_json(running, "lineage", running.loop.name)["nodes"][0]
    assert (loop_lineage["kind"], loop_lineage["id"]) == ("release", state(running).champion)


def test_a_rebuilt_read_model_is_equal(running: RunningSystem, control: ControlClient) -> None:
    def everything() -> list[Any]:
        requests = [("ListLoops", api.ListLoopsRequest()), ("ListReleases", api.ListReleasesRequest())]
        requests.append(("ListHistory", api.ListHistoryRequest()))
        requests.append(("ListWindows", api.ListWindowsRequest(loop=running.loop.name)))
        answers = [control.call(name, request) for name, request in requests]
        timeline = list(control.timeline(api.StreamTimelineRequest(all=True, payload=True)))
        for event in timeline:
            event.position = 0
        return [*answers, timeline]

    before = everything()
    rebuilt = run_json(running, "rebuild")
    assert rebuilt["events"] == len(before[-1])
    assert len(before[-1]) > DAYS * 4, "a window and three decisions per day"
    assert everything() == before


@pytest.mark.parametrize("stage", ["shadow", "waiting", "canary"])
def test_a_rollback_of_an_open_release_converges_and_is_in_the_history(running: RunningSystem, stage: str) -> None:
    before = state(running).champion
    bring_to_stage(running, f"r-to-roll-back-in-{stage}", stage)
    result = run_json(running, "rollback", running.loop.name, *WHY)
    assert result["seconds"] < CONVERGED_S
    after = state(running)
    assert (after.champion, after.release) == (before, "")
    newest = run_json(running, "history", running.loop.name)[-1]
    assert newest["who"] == "anna"
    assert newest["because"] == "rolled back by anna: a test asks"


def test_an_approved_release_enters_the_next_stage(running: RunningSystem) -> None:
    bring_to_stage(running, "r-to-approve", "waiting")
    waiting = next(loop for loop in run_json(running, "status")["loops"] if loop["loop"] == running.loop.name)
    assert waiting["waiting"]["release"] == "r-to-approve"
    result = run_json(running, "approve", running.loop.name, "r-to-approve", *WHY)
    assert result["seconds"] < CONVERGED_S
    assert state(running).stage == "canary"
    assert "is not open" not in run_command(running, "reject", running.loop.name, "r-to-approve", *WHY)
    assert state(running).release == ""


def test_a_champion_is_rolled_back_to_the_previous_one(running: RunningSystem) -> None:
    before = state(running)
    assert before.former
    output = run_command(running, "rollback", running.loop.name, *WHY)
    assert f"champion {before.former[-1]}" in output
    assert state(running).champion == before.former[-1]
    error = run_command(running, "rollback", running.loop.name, *WHY, code=3)
    assert "no champion before" in error


def test_a_requested_candidate_is_trained(running: RunningSystem) -> None:
    result = run_json(running, "retrain", running.loop.name, *WHY)
    assert result["effect"] == "training is requested"

    def ended() -> bool:
        events = read_events(KafkaSettings.of(running.settings))
        return any(event.correlation_id == result["correlation_id"] and is_end(event.data) for event in events)

    def is_end(data: Any) -> bool:
        shadow = isinstance(data, registry.StageEntered) and data.stage == "shadow"
        return shadow or isinstance(data, registry.ReleaseRejected)

    assert_eventually(ended, 300.0, "the candidate in shadow, or refused")
    if release := state(running).release:
        run_command(running, "reject", running.loop.name, release, *WHY)


def test_pause_and_resume_are_recorded(running: RunningSystem) -> None:
    loop = running.loop.name
    assert "paused" in run_command(running, "pause", loop, *WHY)
    assert state(running).paused
    assert "paused already" in run_command(running, "pause", loop, *WHY, code=3)
    assert run_json(running, "resume", loop, *WHY)["effect"] == "resumed"
    assert not state(running).paused
