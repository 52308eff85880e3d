"""The API over a read model of a log, asked by the client that the command line uses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from driftloop.contracts import control_api_pb2 as api
from driftloop.contracts import predictions_pb2 as predictions
from driftloop.ops.control_client import ControlClient, NotFound, Refused, TimedOut
from driftloop.process.errors import DriftloopError
from tests.helpers.event_lines import newest_line
from tests.helpers.event_log import DAY_MS, LOOP, EventLog, two_champions
from tests.helpers.eventually import assert_eventually
from tests.unit.control.harness import Harness
from tests.unit.control.running import Running


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    harness, whole = Harness(tmp_path), two_champions()
    at = next(n for n, each in enumerate(whole.events) if each.id == f"{LOOP}:converged 2")
    log = EventLog(events=whole.events[: at + 1], day=5)
    harness.publish(log.events)
    harness.serve(
        [predictions.PredictionServed(loop=LOOP, prediction_id="p-1", key="k", release_id="r-1", route_epoch=2)]
    )
    found = Running(harness, log)
    yield found
    found.end()


def command(**more: Any) -> api.CommandRequest:
    return api.CommandRequest(**{"loop": LOOP, "who": "anna", "why": "because", "request_id": "one", **more})


def test_loops_with_events_and_loops_without_are_listed(running: Running) -> None:
    idle, orders = running.client.call("ListLoops", api.ListLoopsRequest()).loops
    assert (idle.name, idle.champion, idle.HasField("event_time")) == ("idle", "", False)
    assert (orders.name, orders.champion, orders.challenger, orders.stage) == (LOOP, "r-1", "r-2", "shadow")
    assert orders.description == "Will the order come back?"
    assert orders.next == "nothing to do: r-2 is judged in shadow as outcomes come in"


def test_releases_windows_and_history_are_told(running: Running) -> None:
    ask = running.client.call
    assert [each.release_id for each in ask("ListReleases", api.ListReleasesRequest()).releases] == ["r-1", "r-2"]
    assert ask("GetRelease", api.GetReleaseRequest(release_id="r-2")).bundle_digest == f"{2:064x}"
    windows = ask("ListWindows", api.ListWindowsRequest(loop=LOOP, newest=2)).windows
    assert [each.window_id for each in windows] == ["w4", "w5"]
    at = Timestamp()
    at.FromMilliseconds(4 * DAY_MS)
    [then] = ask("ListHistory", api.ListHistoryRequest(loop=LOOP, at=at)).serving_periods
    assert (then.champion, then.epoch, then.who) == ("r-1", 1, "driftloop")


def test_every_node_of_a_predictions_lineage_resolves(running: Running) -> None:
    nodes = running.client.call("GetLineage", api.GetLineageRequest(id="p-1")).nodes
    assert {node.kind for node in nodes} >= {"prediction", "release", "route", "run", "request", "verdict", "alarm"}
    for node in nodes:
        again = running.client.call("GetLineage", api.GetLineageRequest(id=node.id))
        assert again.nodes[0].id == node.id


def test_an_event_is_shown_with_its_content(running: Running) -> None:
    found = running.client.call("GetEvent", api.GetEventRequest(event_id=f"{LOOP}:alarm"))
    assert found.payload["detector"] == "calibration"
    assert list(found.evidence_ids) == [f"{LOOP}:window {day}" for day in (3, 4, 5)]
    assert found.line == newest_line(running.log.events, "DriftDetected")


def test_the_timeline_tells_news_in_order_and_everything_on_demand(running: Running) -> None:
    news = [each.line for each in running.client.timeline(api.StreamTimelineRequest(loop=LOOP))]
    assert news[0] == newest_line(running.log.events, "RetrainRequested", f"{LOOP}:first")
    assert newest_line(running.log.events, "DriftDetected") in news
    every = list(running.client.timeline(api.StreamTimelineRequest(all=True)))
    assert [each.id for each in every] == [event.id for event in running.log.events]
    chain = list(running.client.timeline(api.StreamTimelineRequest(correlation_id=f"{LOOP}:first", all=True)))
    assert {each.correlation_id for each in chain} == {f"{LOOP}:first"}
    assert [e.id for e in running.client.timeline(api.StreamTimelineRequest(all=True, newest=3))] == [
        event.id for event in running.log.events[-3:]
    ]


def test_who_follows_sees_what_comes(running: Running) -> None:
    followed = running.client.timeline(api.StreamTimelineRequest(loop=LOOP, follow=True, newest=1), timeout_s=30)
    next(followed)
    running.log.entered(2, "canary", 3, 1, "x", "drift", "better in shadow")
    running.harness.publish(running.log.events[-1:])
    assert next(followed).line == newest_line(running.log.events, "StageEntered")


def test_a_command_is_sent_once_however_often_it_is_asked(running: Running) -> None:
    first = running.client.call("Pause", command())
    assert_eventually(lambda: running.client.call("ListLoops", api.ListLoopsRequest(loop=LOOP)).loops[0].paused)
    again = running.client.call("Pause", command())
    assert (first.repeated_call, again.repeated_call) == (False, True)
    assert first.event_id == again.event_id
    assert len(running.commands()) == 1
    [record] = running.harness.broker.records("control.pause.v1")
    assert record.header("ce_source") == b"/driftloop/control"
    with pytest.raises(Refused, match="paused already"):
        running.client.call("Pause", command(request_id="two"))


def test_an_approval_is_for_the_release_that_waits(running: Running) -> None:
    with pytest.raises(Refused, match="does not wait"):
        running.client.call("Approve", command(release_id="r-2"))
    running.waits()
    accepted = running.client.call("Approve", command(release_id="r-2"))
    assert accepted.correlation_id == f"{LOOP}:drift"


@pytest.mark.parametrize(
    ("call", "request_", "said"),
    [
        ("ListLoops", api.ListLoopsRequest(loop="nowhere"), "there are idle, orders"),
        ("GetRelease", api.GetReleaseRequest(release_id="r-9"), "no release 'r-9'"),
        ("GetEvent", api.GetEventRequest(event_id="x"), "no lifecycle event"),
        ("GetLineage", api.GetLineageRequest(id="x"), "no prediction, release, run or event"),
        ("GetLineage", api.GetLineageRequest(), "name a prediction"),
        ("ListWindows", api.ListWindowsRequest(), "name a loop"),
        ("ListHistory", api.ListHistoryRequest(loop="nowhere"), "no loop 'nowhere'"),
        ("Rollback", command(loop=""), "name a loop"),
        ("Rollback", command(loop="nowhere"), "no loop 'nowhere'"),
        ("Rollback", command(why=""), "why is missing"),
        ("Approve", command(), "name the release"),
        ("Reject", command(release_id="r-9"), "no release 'r-9'"),
    ],
)
def test_what_is_wrong_is_told_in_words(running: Running, call: str, request_: Any, said: str) -> None:
    with pytest.raises(NotFound, match=said):
        running.client.call(call, request_)


def test_one_follower_too_many_is_refused_and_the_others_go_on(running: Running) -> None:
    asked = api.StreamTimelineRequest(follow=True, newest=1)
    followers = [running.client.timeline(asked, timeout_s=30) for _ in range(3)]
    assert next(followers[0]).id
    assert next(followers[1]).id
    with pytest.raises(DriftloopError, match="the limit of 2 followed timelines"):
        next(followers[2])


def test_a_deadline_ends_a_timeline_that_is_followed(running: Running) -> None:
    followed = running.client.timeline(api.StreamTimelineRequest(follow=True, newest=1), timeout_s=0.3)
    next(followed)
    with pytest.raises(TimedOut):
        next(followed)


def test_it_is_rebuilt_while_it_runs(running: Running) -> None:
    before = running.client.call("ListReleases", api.ListReleasesRequest())
    assert running.client.call("Rebuild", api.RebuildRequest()).events == len(running.log.events)
    assert running.client.call("ListReleases", api.ListReleasesRequest()) == before


def test_the_api_can_be_explored_by_reflection(running: Running) -> None:
    with grpc.insecure_channel(running.address) as channel:
        services = ProtoReflectionDescriptorDatabase(channel).get_services()
    assert "driftloop.control.v1.Control" in services


def test_who_asks_where_nobody_listens_is_told() -> None:
    with ControlClient("127.0.0.1:1") as client, pytest.raises(DriftloopError, match="driftloop status"):
        client.call("ListLoops", api.ListLoopsRequest())
