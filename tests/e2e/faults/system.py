"""A small running system for input that damages it: orders, and a second loop that must go on."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from google.protobuf.message import Message

from driftloop.bus.kafka_batch import KafkaBatchProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.ports import Record
from driftloop.contracts.registry_pb2 import ReleaseRef, RouteChanged
from driftloop.events.envelope import Envelope, to_record
from driftloop.events.event_log import read_events, read_topics
from driftloop.featurestore.lake import LakeTable
from driftloop.loop import Loop, load_loops
from driftloop.process.settings import ROOT, Settings
from tests.e2e.command_line import CommandLine, system
from tests.e2e.two_loops.harness import settings_of, up
from tests.helpers.eventually import assert_eventually

ORDERS, CASES = "orders", "cases"
ORDER_DAYS = ("2020-09-13", "2020-09-24")
"""The first champion comes after ten days."""
ORDERS_END_MS = 1_600_905_600_000
"""Event time at which the orders end."""
CASES_START_MS = 1_767_225_600_000
"""First event time of the other loop, 1 January 2026."""
_BREAKER = "  breaker: 3\n"
"""One failure opens the breaker of orders here."""


@dataclass(frozen=True)
class FaultySystem:
    """A running system that tests may damage. A test that damages a loop for good uses its own topic or key."""

    line: CommandLine
    settings: Settings
    loops: Mapping[str, Loop]

    def status(self) -> dict[str, Any]:
        """Return the output of `driftloop status --json`."""
        status: dict[str, Any] = json.loads(self.line.run("status", "--json").stdout)
        return status

    def pids(self) -> dict[str, list[int]]:
        """Return the process ids of each part."""
        return {part["name"]: part["pids"] for part in self.status()["parts"]}

    def topic(self, *topics: str) -> list[Record]:
        """Return all records of some topics."""
        return list(read_topics(KafkaSettings.of(self.settings), topics))

    def replay_orders(self) -> None:
        """Replay orders up to the first champion."""
        start, end = ORDER_DAYS
        replayed = self.line.run("replay", ORDERS, "--start", start, "--end", end, "--step", "12h", "--no-caller")
        assert replayed.returncode == 0, replayed.stdout + replayed.stderr[-4000:]

    def events(self, loop: str) -> list[Envelope[Any]]:
        """Return the lifecycle events of a loop."""
        return [event for event in read_events(KafkaSettings.of(self.settings)) if event.loop == loop]

    def loop_status(self, loop: str = ORDERS) -> dict[str, Any]:
        """Return a loop's entry in the output of `driftloop status --json`."""
        [found] = [entry for entry in self.status()["loops"] if entry["loop"] == loop]
        return dict(found)

    def champion(self) -> ReleaseRef:
        """Return the champion of orders as the newest route names it."""
        routes = [event.data for event in self.events(ORDERS) if isinstance(event.data, RouteChanged)]
        return max(routes, key=lambda route: route.epoch).champion

    def publish(self, service: str, data: Message) -> None:
        """Publish a lifecycle event of orders as a service does, after all others in event time."""
        name = f"{data.DESCRIPTOR.name}-{time.time_ns()}"
        time_ms = max(event.time_ms for event in self.events(ORDERS)) + 1
        event: Envelope[Any] = Envelope(
            name, f"/driftloop/{service}", data.DESCRIPTOR.full_name, ORDERS, time_ms, time.time_ns() // 1_000_000,
            name, None, None, data,
        )  # fmt: skip
        producer = KafkaBatchProducer(KafkaSettings.of(self.settings))
        producer.send([to_record(event)])
        producer.close()

    def edit(self, file: str, *changes: tuple[str, str]) -> None:
        """Replace texts in a file of orders, or in its Feast definitions; each must occur once."""
        path = self.settings.loops_dir / ORDERS / file
        if file == f"{ORDERS}.py":
            path = self.settings.feature_repo / file
        text = path.read_text()
        for before, after in changes:
            assert text.count(before) == 1, before
            text = text.replace(before, after)
        path.write_text(text)

    def restart(self, *arguments: str, loops: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Stop the system and start it with these arguments of `up`, with some loops only; return how `up` ended."""
        stopped = self.line.run("down")
        assert stopped.returncode == 0, stopped.stderr
        chosen = {"DRIFTLOOP_LOOPS": json.dumps(loops)} if loops else {}
        line = CommandLine({**self.line.environment, **chosen}, self.line.out)
        return line.run("up", "--timeout", "600", *arguments, timeout_s=660.0)

    def send(self, topic: str, *events: Mapping[str, Any] | bytes, key: str = "fault") -> None:
        """Send JSON events, or bytes as they are, with a plain producer: one partition, in this order, no headers."""
        producer = Producer({"bootstrap.servers": self.settings.kafka_bootstrap, "queue.buffering.max.messages": 10**6})
        for event in events:
            producer.produce(topic, event if isinstance(event, bytes) else json.dumps(event), key)
        assert producer.flush(60.0) == 0

    def rows(self, loop: str, event_type: str) -> list[dict[str, Any]]:
        """Return the rows of an event type in the lake."""
        table = LakeTable(self.settings.lake / loop / "events" / event_type)
        rows: list[dict[str, Any]] = table.read().to_pylist() if table.exists() else []
        return rows

    def ids(self, loop: str, event_type: str) -> list[str]:
        """Return the event ids of an event type in the lake, with repetitions."""
        return [row["event_id"] for row in self.rows(loop, event_type)]

    def assert_stored(self, loop: str, event_type: str, ids: Sequence[str], timeout_s: float = 120.0) -> None:
        """Wait until these events are in the lake."""
        assert_eventually(lambda: set(ids) <= set(self.ids(loop, event_type)), timeout_s, f"{ids[:3]} in the lake")

    def assert_goes_on(self, name: str, loop: str = CASES) -> None:
        """Send one good event of the other loop under this name, and wait until it is in the lake."""
        event = {"event_id": name, "event_time_ms": CASES_START_MS, "place": "north", "amount": 1.0}
        self.send(f"{loop}.measured", event)
        self.assert_stored(loop, f"{loop}.measured", [name])


@contextmanager
def faulty_system(folder: Path) -> Iterator[FaultySystem]:
    """Start both loops without any event, and stop the system at the end."""
    with system(folder, _definitions(folder)) as line:
        made = line.run("init", CASES, "--kind", "binary", "--clock", "request")
        assert made.returncode == 0, made.stdout + made.stderr
        up(line)
        settings = settings_of(line)
        yield FaultySystem(line, settings, {loop.name: loop for loop in load_loops(settings.loops_dir)})


def _definitions(folder: Path) -> dict[str, str]:
    """Copy orders and its features into a folder, so that tests may edit them; return the system's settings."""
    source = ROOT / "tests" / "loops"
    shutil.copytree(source / ORDERS, folder / "loops" / ORDERS)
    definition = folder / "loops" / ORDERS / "loop.yaml"
    text = definition.read_text()
    assert text.count(_BREAKER) == 1
    definition.write_text(text.replace(_BREAKER, "  breaker: 1\n"))
    (folder / "features").mkdir()
    shutil.copy(source / "feature_repo" / "orders.py", folder / "features")
    shutil.copy(ROOT / "feature_repo" / "feature_store.yaml", folder / "features")
    return {"DRIFTLOOP_LOOPS_DIR": str(folder / "loops"), "DRIFTLOOP_FEATURE_REPO": str(folder / "features")}
