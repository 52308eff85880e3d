from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from driftloop.cli.interrupts import Interrupts


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_noted_and_raises_later(number: signal.Signals) -> None:
    interrupts = Interrupts()
    os.kill(os.getpid(), number)
    assert interrupts.stop.wait(10)
    with pytest.raises(KeyboardInterrupt):
        interrupts.end()


def test_a_signal_ends_what_is_under_way_once() -> None:
    interrupts = Interrupts()
    interrupts.end()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)  # a second one only says the same again
    os.kill(os.getpid(), signal.SIGTERM)
    assert interrupts.stop.wait(10)


def test_what_undoes_is_not_cut_short() -> None:
    undone: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        _work_and_undo(undone)
    assert undone == ["all"]


def _work_and_undo(undone: list[str]) -> None:
    interrupts = Interrupts()
    try:
        try:
            interrupts.end()
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            interrupts.note()
    finally:
        os.kill(os.getpid(), signal.SIGINT)
        undone.append("all")


def test_noted_again_a_signal_does_not_raise() -> None:
    interrupts = Interrupts()
    interrupts.end()
    interrupts.note()
    os.kill(os.getpid(), signal.SIGINT)
    assert interrupts.stop.wait(10)
