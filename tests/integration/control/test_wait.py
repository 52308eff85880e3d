"""``driftloop wait`` against the control service: it returns when the log has come so far, and not before."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from driftloop.events.envelope import Envelope
from driftloop.ops.cli.wait import wait
from driftloop.process.errors import DriftloopError
from tests.helpers.event_log import LOOP, EventLog, two_champions
from tests.helpers.eventually import assert_eventually
from tests.unit.control.harness import Harness
from tests.unit.control.running import Running

pytestmark = pytest.mark.integration

Wait = Callable[..., Result]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(Harness(tmp_path), EventLog())
    yield found
    found.end()


@pytest.fixture
def run(running: Running, monkeypatch: pytest.MonkeyPatch) -> Wait:
    monkeypatch.setenv("DRIFTLOOP_CONTROL_GRPC", running.address)
    return lambda *arguments: CliRunner().invoke(wait, [*arguments])


def until(name: str) -> list[Envelope[Any]]:
    """The log up to an event."""
    events = two_champions().events
    return events[: next(n for n, each in enumerate(events) if each.id == f"{LOOP}:{name}") + 1]


def tell(running: Running, events: Sequence[Envelope[Any]]) -> None:
    """Let events happen, and the read model take them in."""
    there = running.harness.store.count()
    running.harness.publish(events)
    assert_eventually(lambda: running.harness.store.count() == there + len(events))


def test_a_loop_at_rest_is_told_where_it_stands(running: Running, run: Wait) -> None:
    tell(running, two_champions().events)
    assert run(LOOP).output == "champion r-1; nothing to do: watched\n"
    found = json.loads(run(LOOP, "--for", "champion", "--json").output)
    assert (found["champion"], found["open"]) == ("r-1", [])


def test_it_returns_as_soon_as_what_is_waited_for_is_so(running: Running, run: Wait) -> None:
    before, after = until("promoted 1"), until("converged 2")
    tell(running, before[:-1])
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(run, LOOP, "--for", "champion", "--timeout", "120")
        assert_eventually(lambda: running.api.open_streams == 1)
        assert not waiting.done()
        running.harness.publish(before[-1:])
        assert waiting.result(120.0).output.startswith("champion r-1")
    tell(running, after[len(before) :])
    assert run(LOOP, "--timeout", "60").output.startswith("champion r-1, r-2 in shadow; nothing to do: r-2 is judged")


@pytest.mark.parametrize(
    ("loop", "wanted", "waits_for"),
    [(LOOP, "rest", "run for request q-1 goes on"), ("idle", "champion", "the first champion is trained once")],
)
def test_what_does_not_come_in_time_is_named(
    running: Running, run: Wait, loop: str, wanted: str, waits_for: str
) -> None:
    tell(running, until("started 1"))
    failed = run(loop, "--for", wanted, "--timeout", "0.5").exception
    assert isinstance(failed, DriftloopError)
    assert f"{loop} still waits after 0.5 s" in str(failed)
    assert waits_for in str(failed)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nix"], "there is no loop 'nix'; there are idle, orders"),
        ([LOOP, "--for", "lunch"], "'lunch' is not one of 'rest', 'champion'"),
        ([], "Missing argument 'LOOP'"),
    ],
)
def test_a_wrong_argument_is_told_with_exit_code_2(
    running: Running, run: Wait, arguments: list[str], says: str
) -> None:
    tell(running, until("converged 1"))
    found = run(*arguments)
    assert found.exit_code == 2
    assert says in found.output
