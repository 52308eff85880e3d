from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from driftloop.contracts import control_api_pb2 as api
from driftloop.ops import cli
from driftloop.ops.cli import replay
from driftloop.ops.cli.control import stream_events
from driftloop.ops.cli.interrupts import Interrupts, guard
from driftloop.ops.control_client import ControlClient
from driftloop.process.errors import DriftloopError


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_recorded_and_raises_later(number: signal.Signals) -> None:
    interrupts = Interrupts()
    os.kill(os.getpid(), number)
    assert interrupts.stop.wait(10)
    with pytest.raises(KeyboardInterrupt):
        interrupts.allow_interrupt()


def test_a_signal_interrupts_the_work_once() -> None:
    interrupts = Interrupts()
    interrupts.allow_interrupt()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)  # a second signal has the same effect
    os.kill(os.getpid(), signal.SIGTERM)
    assert interrupts.stop.wait(10)


def test_clean_up_is_not_interrupted() -> None:
    undone: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        _work_and_undo(undone)
    assert undone == ["all"]


def _work_and_undo(undone: list[str]) -> None:
    interrupts = Interrupts()
    try:
        try:
            interrupts.allow_interrupt()
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            interrupts.defer_signals()
    finally:
        os.kill(os.getpid(), signal.SIGINT)
        undone.append("all")


def test_a_deferred_signal_does_not_raise() -> None:
    interrupts = Interrupts()
    interrupts.allow_interrupt()
    interrupts.defer_signals()
    os.kill(os.getpid(), signal.SIGINT)
    assert interrupts.stop.wait(10)


class StoppedSession:
    """A session of a client that Ctrl-C stops after its first step."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def run(self, stop: threading.Event) -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(10)
        return {"steps": 1}


@pytest.mark.parametrize(("command", "session"), [("replay", "ReplaySession"), ("call", "CallSession")])
def test_a_stopped_client_prints_what_it_did_and_exits_with_130(
    command: str, session: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(replay, session, StoppedSession)
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "flights", "--start", "2013-01-01", "--end", "2013-01-02"])
    assert ended.value.code == 130
    assert json.loads(capsys.readouterr().out) == {"steps": 1}


def test_guarded_code_is_stopped_before_the_interrupt_is_raised() -> None:
    ended = threading.Event()
    steps: list[str] = []
    with pytest.raises(KeyboardInterrupt), guard(ended.set):  # noqa: PT012 - the order of the steps is the matter
        os.kill(os.getpid(), signal.SIGINT)
        assert ended.wait(10)
        steps.append("went on to its end")
    assert steps == ["went on to its end"]


def test_an_error_of_stopped_code_does_not_hide_the_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt), guard(lambda: None):  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        raise DriftloopError("Channel closed!")


def test_the_guard_restores_the_signal_handler() -> None:
    before = signal.getsignal(signal.SIGINT)
    block = guard(lambda: None)
    for _ in range(2):
        with block:
            assert signal.getsignal(signal.SIGINT) != before
        assert signal.getsignal(signal.SIGINT) is before


def test_the_guard_does_nothing_in_other_threads() -> None:
    with ThreadPoolExecutor(1) as pool:
        block = pool.submit(guard, lambda: None).result()
    before = signal.getsignal(signal.SIGINT)
    with block:
        assert signal.getsignal(signal.SIGINT) is before


class _Deaf(ControlClient):
    """Its timeline has one event, then waits until the client is closed, and loses exceptions of a signal handler."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1:1")
        self.closed = threading.Event()

    def close(self) -> None:
        super().close()
        self.closed.set()

    def timeline(self, request: api.StreamTimelineRequest, timeout_s: float | None = None) -> Iterator[api.Event]:
        yield api.Event(line="the first")
        with contextlib.suppress(KeyboardInterrupt):  # like the callback of a weak reference
            os.kill(os.getpid(), signal.SIGINT)
        if self.closed.wait(10):
            raise DriftloopError("Channel closed!")


def test_ctrl_c_ends_a_timeline() -> None:
    client = _Deaf()
    timeline = stream_events(client, api.StreamTimelineRequest(follow=True))
    assert next(timeline).line == "the first"
    with pytest.raises(KeyboardInterrupt):
        next(timeline)
    assert client.closed.is_set()
