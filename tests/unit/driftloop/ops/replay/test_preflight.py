"""A replay that nobody would read, or whose events would count twice, says so before it sends anything."""

from __future__ import annotations

import importlib
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from driftloop.loop import load_loop
from driftloop.ops.system.probes import Deadline
from driftloop.process.errors import ConfigError, DriftloopError
from driftloop.process.settings import ROOT, Settings

PREFLIGHT: Any = importlib.import_module("driftloop.ops.replay.preflight")
ORDERS = load_loop(ROOT / "tests" / "loops" / "orders")
REACHED_MS = 1_600_000_000_000


def test_a_loop_without_topics_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PREFLIGHT, "missing_topics", lambda *_: ["orders.placed", "shops.shelved"])
    with pytest.raises(ConfigError, match=r"Kafka has no topic orders\.placed: run `driftloop up`"):
        PREFLIGHT.require_reader(Settings(), ORDERS, threading.Event())


def test_a_loop_that_ingestion_does_not_answer_for_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def unanswered(_: Settings, loops: list[Any], _deadline: Deadline) -> None:
        raise DriftloopError(f"ingestion did not answer the probe of loop {loops[0].name}")

    monkeypatch.setattr(PREFLIGHT, "missing_topics", lambda *_: [])
    monkeypatch.setattr(PREFLIGHT, "probe_events", unanswered)
    with pytest.raises(DriftloopError, match=r"nobody reads the events of orders: .*run `driftloop up`"):
        PREFLIGHT.require_reader(Settings(), ORDERS, threading.Event())


def test_ctrl_c_ends_the_wait_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, remaining = threading.Event(), []

    def interrupted(_: Settings, _loops: list[Any], deadline: Deadline) -> None:
        remaining.append(deadline.remaining_s())
        stop.set()
        remaining.append(deadline.remaining_s())
        raise DriftloopError("no answer")

    monkeypatch.setattr(PREFLIGHT, "missing_topics", lambda *_: [])
    monkeypatch.setattr(PREFLIGHT, "probe_events", interrupted)
    PREFLIGHT.require_reader(Settings(), ORDERS, stop)
    assert remaining[0] > 0
    assert remaining[1] == 0


@pytest.mark.parametrize(
    ("loop", "start_ms", "refused"),
    [("orders", REACHED_MS - 1, True), ("orders", REACHED_MS, False), ("other", REACHED_MS - 1, False)],
)
def test_a_span_that_the_loop_has_reached_is_refused(
    loop: str, start_ms: int, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [SimpleNamespace(loop=loop, data=SimpleNamespace(watermark_ms=at)) for at in (5, REACHED_MS)]
    monkeypatch.setattr(PREFLIGHT, "read_events", lambda *_: events)
    if not refused:
        PREFLIGHT.refuse_repetition(Settings(), ORDERS, start_ms)
        return
    with pytest.raises(ConfigError) as raised:
        PREFLIGHT.refuse_repetition(Settings(), ORDERS, start_ms)
    assert "orders has already reached 2020-09-13 12:26" in str(raised.value)
    assert "accepted more than 1d (time.duplicate_window) before would count twice" in str(raised.value)
    assert "--again" in str(raised.value)
