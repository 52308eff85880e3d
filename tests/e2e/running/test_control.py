"""Every command to query and control the running system, as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from driftloop.contracts import control_api_pb2 as api
from driftloop.contracts import registry_pb2 as registry
from driftloop.events.event_log import read_events
from driftloop.ops.control_client import ControlClient
from tests.e2e.running.asking import WHY, brought_to, say, say_json, state
from tests.e2e.running.system import Running
from tests.helpers.eventually import assert_eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200), pytest.mark.surface]

CONVERGED_S = 5.0
DAYS = 35
"""The replay has at least this many days with a window."""


@pytest.fixture(scope="module")
def control(running: Running) -> Iterator[ControlClient]:
    with ControlClient(running.settings.control_grpc) as client:
        yield client


def test_the_timeline_tells_the_story(running: Running) -> None:
    told = say(running, "timeline", running.loop.name, "-n", "0")
    for word in ("ALARM", "PROMOTED", "REJECTED", "enters canary"):
        assert word in told
    newest = [json.loads(line) for line in say(running, "timeline", "--json", "-n", "3").splitlines()]
    assert len(newest) == 3
    assert all(each["line"] and each["payload"] for each in newest)


def test_history_says_what_was_live_when_and_why(running: Running) -> None:
    serving_periods = say_json(running, "history", running.loop.name)
    assert [each["epoch"] for each in serving_periods] == list(range(1, len(serving_periods) + 1))
    assert all(each["because"] and each["who"] == "driftloop" for each in serving_periods)
    assert all("converged" in each for each in serving_periods)
    [then] = say_json(running, "history", running.loop.name, "--at", "2013-02-20")
    assert then["champion"] == serving_periods[0]["champion"]
    assert then["champion"] in say(running, "history")


def test_kpis_and_reports_are_made_from_the_log(running: Running) -> None:
    loop = running.loop.name
    found = say_json(running, "kpis", loop)
    assert loop in json.dumps(found)
    assert "time to repair" in say(running, "kpis", loop)
    page = running.line.out / "loop.html"
    say(running, "report", loop, "-o", str(page))
    assert "What changed" in page.read_text()
    card = running.line.out / "card.html"
    say(running, "report", state(running).champion, "-o", str(card))
    assert state(running).champion in card.read_text()
    assert say_json(running, "report", loop)["loop"] == loop


def test_every_id_in_the_lineage_of_a_prediction_resolves(running: Running, control: ControlClient) -> None:
    served = running.predictions()
    name = str(served.id[~served.probe][-1])
    found = control.call("GetLineage", api.GetLineageRequest(id=name))
    assert {each.kind for each in found.nodes} >= {
        "prediction", "route", "release", "bundle", "run", "request", "alarm", "verdict", "window", "table",
    }  # fmt: skip
    for each in found.nodes:
        again = control.call("GetLineage", api.GetLineageRequest(id=each.id))
        assert again.nodes[0].id == each.id
    assert name in say(running, "lineage", name)
    assert say_json(running, "lineage", name)["nodes"][0]["kind"] == "prediction"
    of_the_loop = say_json(running, "lineage", running.loop.name)["nodes"][0]
    assert (of_the_loop["kind"], of_the_loop["id"]) == ("release", state(running).champion)


def test_a_read_model_made_again_is_equal(running: Running, control: ControlClient) -> None:
    def everything() -> list[Any]:
        asked = [("ListLoops", api.ListLoopsRequest()), ("ListReleases", api.ListReleasesRequest())]
        asked.append(("ListHistory", api.ListHistoryRequest()))
        asked.append(("ListWindows", api.ListWindowsRequest(loop=running.loop.name)))
        answers = [control.call(name, request) for name, request in asked]
        timeline = list(control.timeline(api.StreamTimelineRequest(all=True, payload=True)))
        for each in timeline:
            each.position = 0
        return [*answers, timeline]

    before = everything()
    found = say_json(running, "rebuild")
    assert found["events"] == len(before[-1])
    assert len(before[-1]) > DAYS * 4, "each day's window, and what three deciders said of it"
    assert everything() == before


@pytest.mark.parametrize("stage", ["shadow", "waiting", "canary"])
def test_a_rollback_of_an_open_release_converges_and_stands_in_the_history(running: Running, stage: str) -> None:
    before = state(running).champion
    brought_to(running, f"r-to-roll-back-in-{stage}", stage)
    told = say_json(running, "rollback", running.loop.name, *WHY)
    assert told["seconds"] < CONVERGED_S
    found = state(running)
    assert (found.champion, found.release) == (before, "")
    newest = say_json(running, "history", running.loop.name)[-1]
    assert newest["who"] == "anna"
    assert newest["because"] == "rolled back by anna: a test asks"


def test_a_release_that_waits_goes_on_when_a_person_approves(running: Running) -> None:
    brought_to(running, "r-to-approve", "waiting")
    waiting = next(each for each in say_json(running, "status")["loops"] if each["loop"] == running.loop.name)
    assert waiting["waiting"]["release"] == "r-to-approve"
    told = say_json(running, "approve", running.loop.name, "r-to-approve", *WHY)
    assert told["seconds"] < CONVERGED_S
    assert state(running).stage == "canary"
    assert "is not open" not in say(running, "reject", running.loop.name, "r-to-approve", *WHY)
    assert state(running).release == ""


def test_a_champion_is_rolled_back_to_the_one_before(running: Running) -> None:
    before = state(running)
    assert before.former
    told = say(running, "rollback", running.loop.name, *WHY)
    assert f"champion {before.former[-1]}" in told
    assert state(running).champion == before.former[-1]
    said = say(running, "rollback", running.loop.name, *WHY, code=3)
    assert "no champion before" in said


def test_a_person_asks_for_a_candidate(running: Running) -> None:
    told = say_json(running, "retrain", running.loop.name, *WHY)
    assert told["effect"] == "training is asked for"

    def ended() -> bool:
        events = read_events(running.settings.kafka_bootstrap)
        return any(each.correlation_id == told["correlation_id"] and is_end(each.data) for each in events)

    def is_end(data: Any) -> bool:
        shadow = isinstance(data, registry.StageEntered) and data.stage == "shadow"
        return shadow or isinstance(data, registry.ReleaseRejected)

    assert_eventually(ended, 300.0, "the candidate in shadow, or refused")
    if release := state(running).release:
        say(running, "reject", running.loop.name, release, *WHY)


def test_pause_and_resume_are_on_record(running: Running) -> None:
    loop = running.loop.name
    assert "paused" in say(running, "pause", loop, *WHY)
    assert state(running).paused
    assert "paused already" in say(running, "pause", loop, *WHY, code=3)
    assert say_json(running, "resume", loop, *WHY)["effect"] == "resumed"
    assert not state(running).paused
