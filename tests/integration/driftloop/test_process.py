"""The entry of a service's process, as a process: its exit codes, logs, metrics, spans and stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from driftloop.process.settings import ROOT
from driftloop.process.startup_errors import read_startup_errors
from tests.helpers.eventually import assert_eventually
from tests.helpers.ports import free_ports

pytestmark = pytest.mark.integration

PROGRAM = """
import asyncio, sys, threading
from structlog.contextvars import bound_contextvars
from driftloop.process import log, telemetry
from driftloop.process.settings import Settings
from driftloop.process.errors import ConfigError
from driftloop.process.serve import serve

DONE = telemetry.Counter("tested_done", "Things that were done.", ("loop",))
DEPTH = telemetry.Gauge("tested_depth", "How deep it is.")
TOOK = telemetry.Histogram("tested_seconds", "Time that one took.", ("loop",))

class Blocking:
    def __init__(self, settings, stop): self.stop = stop
    def ready(self): return True
    def run(self):
        with bound_contextvars(correlation_id="chain-1"), telemetry.span("work", None, loop="orders") as parent:
            with telemetry.span("part", parent): pass
            log.get("tested").info("worked", rows=3)
        DONE.add(2, loop="orders"); DONE.add(loop="orders"); DEPTH.set(7); TOOK.record(0.02, loop="orders")
        self.stop.wait()

class Awaiting(Blocking):
    async def run(self):
        while not self.stop.is_set(): await asyncio.sleep(0.01)

def failing(error):
    def build(settings, stop): raise error
    return build

KINDS = {
    "blocking": Blocking, "awaiting": Awaiting, "setting": failing(ConfigError("lateness is wrong")),
    "defect": failing(ZeroDivisionError("oops")),
}
sys.exit(serve("tested", Settings(), KINDS[sys.argv[1]]))
"""


def _start(kind: str, home: Path, port: int = 0) -> subprocess.Popen[str]:
    environment = {**os.environ, "DRIFTLOOP_HOME": str(home), "DRIFTLOOP_HEALTH_PORT": str(port)}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, kind],
        cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _read(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


@pytest.mark.parametrize(
    ("kind", "code", "event", "problem"),
    [
        ("setting", 2, "configuration", "lateness is wrong"),
        ("defect", 1, "defect", "ZeroDivisionError: oops"),
    ],
)
def test_what_ends_a_process_is_its_code_and_its_last_line(
    tmp_path: Path, kind: str, code: int, event: str, problem: str
) -> None:
    process = _start(kind, tmp_path)
    _, errors = process.communicate(timeout=60)
    last = json.loads(errors.splitlines()[-1])
    assert (process.returncode, last["event"], last["service"]) == (code, event, "tested")
    assert problem in last.get("problem", last.get("exception", ""))


def test_a_process_that_refuses_its_configuration_leaves_word_until_it_is_started_again(tmp_path: Path) -> None:
    _start("setting", tmp_path).communicate(timeout=60)
    assert read_startup_errors(tmp_path) == ["lateness is wrong"]
    _start("defect", tmp_path).communicate(timeout=60)
    assert read_startup_errors(tmp_path) == []


def test_a_service_that_awaits_stops_when_it_is_asked(tmp_path: Path) -> None:
    [port] = free_ports(1)
    process = _start("awaiting", tmp_path, port)
    assert_eventually(lambda: "true" in _read(f"http://127.0.0.1:{port}/ready"), timeout_s=60)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_process_tells_metrics_spans_and_chains(tmp_path: Path) -> None:
    [port] = free_ports(1)
    process = _start("blocking", tmp_path, port)
    metrics = assert_eventually(lambda: _metrics(port), timeout_s=60)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0

    assert metrics["tested_done_total"] == 3
    assert metrics["tested_depth"] == 7
    assert metrics["tested_seconds_count"] == 1
    lines: list[dict[str, Any]] = [json.loads(line) for line in errors.splitlines()]
    [worked] = [each for each in lines if each["event"] == "worked"]
    assert (worked["correlation_id"], worked["rows"], worked["level"]) == ("chain-1", 3, "info")
    spans = [json.loads(line) for line in (tmp_path / "traces" / "tested.jsonl").read_text().splitlines()]
    part, work = sorted(spans, key=lambda span: str(span["name"]))
    assert (part["name"], work["name"], work["attributes"]["loop"]) == ("part", "work", "orders")
    assert part["parent_id"] == work["context"]["span_id"]
    assert part["context"]["trace_id"] == work["context"]["trace_id"]


def _metrics(port: int) -> dict[str, float]:
    """Values by name, labels left out; empty until all are there."""
    found = {}
    for line in _read(f"http://127.0.0.1:{port}/metrics").splitlines():
        if line.startswith("tested_"):
            name, _, value = line.rpartition(" ")
            assert "loop=" in name or name == "tested_depth" or "tested_depth{" in name
            found[name.partition("{")[0]] = float(value)
    return found if "tested_seconds_count" in found else {}
