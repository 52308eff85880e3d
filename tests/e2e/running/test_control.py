"""People ask the running system, and tell it what to do: every command, as a table and as JSON."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import Any
from unittest import mock

import pytest

from driftloop.bus.kafka_batch import KafkaBatchProducer
from driftloop.cli import main
from driftloop.contracts import control_api_pb2 as api
from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts.training_pb2 import Bundle
from driftloop.control_client import ControlClient
from driftloop.envelope import Envelope, to_record
from driftloop.history import read_events
from driftloop.readmodel.loops import LoopState, loop_states
from tests.e2e.running.system import Running
from tests.helpers.eventually import assert_eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

CONVERGED_S = 5.0
DAYS = 35
"""Of the story's, at least, are days with a window."""
WHY = ("--why", "a test asks", "--who", "anna")


def say(running: Running, *arguments: str, code: int = 0) -> str:
    """What a command prints, run in this process: to start one takes longer than most commands."""
    out, errors = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, running.line.environment),
        mock.patch.object(sys, "argv", ["driftloop", *arguments]),
        redirect_stdout(out),
        redirect_stderr(errors),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    assert ended.value.code == code, out.getvalue() + errors.getvalue()
    return (out if code == 0 else errors).getvalue()


def say_json(running: Running, *arguments: str) -> Any:
    return json.loads(say(running, *arguments, "--json"))


@pytest.fixture(scope="module")
def control(running: Running) -> Iterator[ControlClient]:
    with ControlClient(running.settings.control_grpc) as client:
        yield client


def state(running: Running) -> LoopState:
    events = [each for each in read_events(running.settings.kafka_bootstrap) if each.loop == running.loop.name]
    [found] = loop_states(events)
    return found


def test_the_timeline_tells_the_story(running: Running) -> None:
    told = say(running, "timeline", running.loop.name, "-n", "0")
    for word in ("ALARM", "PROMOTED", "REJECTED", "enters canary"):
        assert word in told
    newest = [json.loads(line) for line in say(running, "timeline", "--json", "-n", "3").splitlines()]
    assert len(newest) == 3
    assert all(each["line"] and each["payload"] for each in newest)


def test_history_says_what_was_live_when_and_why(running: Running) -> None:
    tenures = say_json(running, "history", running.loop.name)
    assert [each["epoch"] for each in tenures] == list(range(1, len(tenures) + 1))
    assert all(each["because"] and each["who"] == "driftloop" for each in tenures)
    assert all("converged" in each for each in tenures)
    [then] = say_json(running, "history", running.loop.name, "--at", "2013-02-20")
    assert then["champion"] == tenures[0]["champion"]
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


def judged(running: Running, release: str, stage: str, outcome: evaluation.Outcome, at: LoopState) -> None:
    """Say a verdict on the champion's bundle under another release's name, as the evaluation service would."""
    bundle = Bundle(uri=str(running.bundle().folder), digest=running.bundle().digest)
    data = evaluation.VerdictReached(
        loop=running.loop.name, stage=stage, release_id=release, outcome=outcome, bundle=bundle,
        run_id=f"run-of-{release}", request_id=f"request-of-{release}", reasons=["a test says so"],
        champion_release_id=at.champion,
    )  # fmt: skip
    name = f"{release}-{stage}-{time.time_ns()}"
    event: Envelope[Any] = Envelope(
        name, "/driftloop/evaluation", data.DESCRIPTOR.full_name, data.loop, at.time_ms + 1,
        time.time_ns() // 1_000_000, name, None, None, data,
    )  # fmt: skip
    producer = KafkaBatchProducer(running.settings.kafka_bootstrap)
    producer.send([to_record(event)])
    producer.close()


def brought_to(running: Running, release: str, stage: str) -> None:
    """Let a release stand in a stage, and the router answer so."""
    loop = running.loop.name
    judged(running, release, "offline", evaluation.BETTER, state(running))
    assert_eventually(lambda: (at := state(running)).release == release and at.converged_epoch == at.epoch)
    if stage == "waiting":
        say(running, "pause", loop, *WHY)
    if stage in ("waiting", "canary"):
        judged(running, release, "shadow", evaluation.BETTER, state(running))
    if stage == "waiting":
        assert_eventually(lambda: state(running).waiting)
        say(running, "resume", loop, *WHY)
    elif stage == "canary":
        assert_eventually(lambda: (at := state(running)).stage == "canary" and at.converged_epoch == at.epoch)


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


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("timeline", "nowhere"), "there is no loop 'nowhere'"),
        (("timeline", "-n", "many"), "'many' is not a valid integer"),
        (("history", "nowhere"), "there is no loop 'nowhere'"),
        (("history", "--at", "yesterday"), "'yesterday' is not a date"),
        (("lineage", "nothing"), "no prediction, release, run or event"),
        (("lineage",), "Missing argument 'ID'"),
        (("retrain", "nowhere", *WHY), "there is no loop 'nowhere'"),
        (("retrain",), "Missing argument 'LOOP'"),
        (("approve", "flights", "r-nothing", *WHY), "there is no release 'r-nothing'"),
        (("reject", "flights", "r-nothing", *WHY), "there is no release 'r-nothing'"),
        (("rollback", "flights"), "Missing option '--why'"),
        (("rollback", "flights", "--why", " "), "say why"),
        (("pause", "nowhere", *WHY), "there is no loop 'nowhere'"),
        (("resume", "nowhere", *WHY), "there is no loop 'nowhere'"),
        (("kpis", "nowhere"), "nowhere"),
        (("kpis", "--since", "yesterday"), "'yesterday' is not a date"),
        (("report", "nowhere"), "nowhere"),
        (("rebuild", "now"), "unexpected extra argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_argument_is_one_line(running: Running, arguments: tuple[str, ...], says: str) -> None:
    [line] = say(running, *arguments, code=2).strip().splitlines()
    assert says in line
    assert "--help" in line
