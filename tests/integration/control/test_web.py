"""What the web server answers, and whom it refuses."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from google.protobuf import json_format

from driftloop.contracts import control_api_pb2 as api
from driftloop.contracts.message_json import as_dict
from services.control.web.plans import Plan, PlannedStage
from tests.helpers.event_log import LOOP, EventLog, two_champions
from tests.helpers.eventually import assert_eventually, assert_eventually_async
from tests.unit.control.harness import Harness
from tests.unit.control.running import Running

PLAN = Plan((PlannedStage("shadow", 0.0, 4, 12, 0.0, True),), 0.95, "Poisson deviance", {"lines": 0.5})


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    harness, whole = Harness(tmp_path), two_champions()
    at = next(n for n, each in enumerate(whole.events) if each.id == f"{LOOP}:converged 2")
    log = EventLog(events=whole.events[: at + 1], day=5)
    harness.publish(log.events)
    found = Running(harness, log, plans={LOOP: PLAN})
    yield found
    found.end()


@pytest.fixture
async def page(running: Running) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(running.web) as session:
        yield session


def command(**more: str) -> dict[str, str]:
    return {"loop": LOOP, "who": "anna", "why": "because", "request_id": "one", **more}


async def asked(page: aiohttp.ClientSession, path: str) -> Any:
    async with page.get(path) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def told_records(answer: aiohttp.ClientResponse, count: int) -> list[Any]:
    """So many events of a stream."""
    found: list[Any] = []
    async for line in answer.content:
        if line.startswith(b"data: {") and line.strip() != b"data: {}":
            found.append(json.loads(line[6:]))
        if len(found) == count:
            break
    return found


async def test_loops_are_told_as_the_other_door_tells_them(running: Running, page: aiohttp.ClientSession) -> None:
    found = await asked(page, "/api/loops")
    assert found["loops"] == as_dict(running.client.call("ListLoops", api.ListLoopsRequest()))["loops"]
    assert found["position"] == len(running.log.events)
    assert found["plans"][LOOP]["loss"] == "Poisson deviance"
    assert found["progress"] == {
        "idle": None,
        LOOP: {"blocks": 0, "step": found["plans"][LOOP]["steps"][0], "verdict": None},
    }


async def test_releases_windows_and_history_are_too(running: Running, page: aiohttp.ClientSession) -> None:
    for path, call, request in [
        ("releases", "ListReleases", api.ListReleasesRequest(loop=LOOP)),
        ("windows?newest=2", "ListWindows", api.ListWindowsRequest(loop=LOOP, newest=2)),
        ("history", "ListHistory", api.ListHistoryRequest(loop=LOOP)),
    ]:
        assert await asked(page, f"/api/loops/{LOOP}/{path}") == as_dict(running.client.call(call, request))


async def test_slices_are_those_of_the_champion(running: Running, page: aiohttp.ClientSession) -> None:
    assert await asked(page, f"/api/loops/{LOOP}/slices") == {"champion": "r-1", "slices": []}
    window = running.log.window(6)
    window.data.slices.add(release_id="r-1", slice="lines=1", count=40, loss_sum=20, score_sum=30, outcome_sum=10)
    running.harness.publish([window])

    async def slices() -> list[Any]:
        return list((await asked(page, f"/api/loops/{LOOP}/slices"))["slices"])

    [piece] = await assert_eventually_async(slices)
    assert (piece["slice"], piece["rows"], piece["loss"], piece["calibration"]) == ("lines=1", 40, 0.5, 0.5)


async def test_a_chain_an_event_and_its_lineage_are_shown(page: aiohttp.ClientSession) -> None:
    chain = (await asked(page, f"/api/chains/{LOOP}:drift"))["events"]
    assert [chain[0]["id"], chain[-1]["id"]] == [f"{LOOP}:alarm", f"{LOOP}:converged 2"]
    event = await asked(page, f"/api/events/{LOOP}:alarm")
    assert event["payload"]["detector"] == "calibration"
    assert (await asked(page, "/api/lineage/r-2"))["nodes"][0]["kind"] == "release"


async def test_the_timeline_is_the_newest_news(page: aiohttp.ClientSession) -> None:
    events = (await asked(page, f"/api/loops/{LOOP}/timeline?newest=2"))["events"]
    assert [event["kind"] for event in events] == ["StageEntered", "RouteConverged"]


async def test_what_comes_is_streamed_and_who_comes_back_misses_nothing(
    running: Running, page: aiohttp.ClientSession
) -> None:
    at = len(running.log.events)
    async with page.get(f"/api/stream?after={at}") as answer:
        assert answer.content_type == "text/event-stream"
        running.log.entered(2, "canary", 3, 1, "x", "drift", "better in shadow")
        running.harness.publish(running.log.events[-1:])
        [first] = await told_records(answer, 1)
        assert (first["id"], first["notable"]) == (f"{LOOP}:canary 2 at 3", True)
    running.log.routed(3, 1, 2, "x", "drift")
    running.harness.publish(running.log.events[-2:])
    back = {"Last-Event-ID": str(first["position"])}
    async with page.get(f"/api/stream?after={at}", headers=back) as answer:
        found = await told_records(answer, 2)
    assert [each["id"] for each in found] == [f"{LOOP}:route 3", f"{LOOP}:converged 3"]


async def test_a_quiet_stream_gives_signs_of_life(page: aiohttp.ClientSession) -> None:
    async with page.get("/api/stream?after=999") as answer:
        beats = 0
        async for line in answer.content:
            beats += line.startswith(b"event: beat")
            if beats == 3:
                break


async def test_one_page_too_many_is_refused(page: aiohttp.ClientSession) -> None:
    async with page.get("/api/stream"), page.get("/api/stream"), page.get("/api/stream") as third:
        assert third.status == 503
        assert (await third.json())["error"] == "the limit of 2 streams is reached; close one"


async def test_a_command_is_one_event_through_whichever_door(running: Running, page: aiohttp.ClientSession) -> None:
    async with page.post("/api/commands/pause", json=command()) as answer:
        accepted = await answer.json()
    assert_eventually(lambda: running.client.call("ListLoops", api.ListLoopsRequest(loop=LOOP)).loops[0].paused)
    again = running.client.call("Pause", json_format.ParseDict(command(), api.CommandRequest()))
    assert (again.event_id, again.repeated_call) == (accepted["event_id"], True)
    assert len(running.harness.broker.records("control.pause.v1")) == 1


@pytest.mark.parametrize(
    ("name", "body", "status", "said"),
    [
        ("pause", command(why=" "), 400, "why is missing or too long"),
        ("pause", command(who=""), 400, "who is missing or too long"),
        ("pause", command(why="x" * 2001), 400, "why is missing or too long"),
        ("pause", command(loop=""), 400, "name a loop"),
        ("pause", command(loop="nowhere"), 404, "no loop 'nowhere'"),
        ("pause", {"loops": LOOP}, 400, 'no field named "loops"'),
        ("pause", ["x"], 400, "not a valid command"),
        ("resume", command(), 409, "is not paused"),
        ("approve", command(release_id="r-2"), 409, "does not wait"),
        ("reject", command(release_id="r-9"), 404, "no release 'r-9'"),
        ("rollforward", command(), 404, "no command 'rollforward'"),
        ("pause", command(why="x" * 20_000), 413, ""),
    ],
)
async def test_a_refusal_is_in_words(
    running: Running, page: aiohttp.ClientSession, name: str, body: Any, status: int, said: str
) -> None:
    async with page.post(f"/api/commands/{name}", json=body) as answer:
        assert answer.status == status
        assert said in (await answer.json())["error"]
    assert not running.commands()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Host": "elsewhere.example", "Origin": "http://elsewhere.example"}, 421),
    ],
)
async def test_a_page_of_another_origin_commands_nothing(
    running: Running, page: aiohttp.ClientSession, headers: dict[str, str], status: int
) -> None:
    sent = {"Content-Type": "application/json", **headers}
    async with page.post("/api/commands/pause", data=json.dumps(command()), headers=sent) as answer:
        assert answer.status == status
        assert (await answer.json())["error"]
    assert not running.commands()


@pytest.mark.parametrize("host", ["localhost", "driftloop.test", "127.0.0.1:80", "[::1]:80"])
async def test_it_is_known_by_address_and_by_its_own_names(page: aiohttp.ClientSession, host: str) -> None:
    async with page.get("/api/loops", headers={"Host": host}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/loops/nowhere/windows", 404),
        (f"/api/loops/{LOOP}/windows?newest=0", 400),
        (f"/api/loops/{LOOP}/windows?newest=many", 400),
        ("/api/chains/x", 404),
        ("/api/events/x", 404),
        ("/api/lineage/x", 404),
        ("/api/stream?after=-1", 400),
        ("/api/stream?after=99999999999", 400),
        ("/static/../web/server.py", 404),
        ("/api/commands/pause", 405),
        ("/nothing", 404),
    ],
)
async def test_what_is_not_there_is_told(page: aiohttp.ClientSession, path: str, status: int) -> None:
    async with page.get(path) as answer:
        assert answer.status == status
        assert (await answer.json())["error"]


@pytest.mark.parametrize("path", ["/", "/api/loops", "/static/js/main.js", "/nothing"])
async def test_a_browser_is_told_to_run_no_script_but_the_pages(page: aiohttp.ClientSession, path: str) -> None:
    async with page.get(path) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_nothing_is_answered_from_half_a_read_model(running: Running, page: aiohttp.ClientSession) -> None:
    running.hide_read_model = True
    for path in ("/api/loops", "/api/stream"):
        async with page.get(path) as answer:
            assert answer.status == 503
    async with page.post("/api/commands/pause", json=command()) as answer:
        assert (await answer.json())["error"] == "the read model is being built; try again"
