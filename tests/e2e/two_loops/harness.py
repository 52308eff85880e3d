"""The reference loop and orders in one system, replayed at once by four clients; and orders alone."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.contracts import replay_pb2
from driftloop.contracts.topics import topic_of
from driftloop.events.envelope import Envelope
from driftloop.events.event_log import LIFECYCLE, read_events, read_topics
from driftloop.loop import Loop, load_loops
from driftloop.ops.checks.model import Findings
from driftloop.ops.checks.predictions import Predictions, read_predictions
from driftloop.ops.checks.run import PREDICTIONS
from driftloop.ops.checks.run import run as run_checks
from driftloop.process.settings import ROOT, Settings
from tests.e2e.command_line import CommandLine, collect_json, system

FLIGHTS, ORDERS = "flights", "orders"
STEP, STEP_MS = "6h", 6 * 3_600_000
SPANS = {FLIGHTS: ("2012-12-31", "2013-01-31"), ORDERS: ("2020-09-13", "2020-10-07")}
"""January, which ends two days after the first champion, and all orders."""
PATIENCE = ("--timeout", "300")
"""A client's timeout for one step: training is slow on a busy machine."""
Clients = Mapping[tuple[str, str], subprocess.Popen[str]]
"""By command and loop."""
EVENTS = (*LIFECYCLE, topic_of(replay_pb2.StepAsked).name, "features.watermark-advanced.v1")


@dataclass(frozen=True)
class TwoLoopReplay:
    """What a system had stored after a replay of both loops, and the results of the checks."""

    settings: Settings
    loops: Mapping[str, Loop]
    events: Sequence[Envelope[Any]]
    predictions: Mapping[str, Predictions]
    calls: Mapping[str, Mapping[str, int]]
    """Counts of answered and failed predictions from each caller."""
    checks: Mapping[str, Findings]

    def of(self, loop: str, kind: type[Message] = Message) -> list[Envelope[Any]]:
        """Return the events of a loop with this message type, in order of publication."""
        return [event for event in self.events if event.loop == loop and isinstance(event.data, kind)]


def replay_both(folder: Path) -> TwoLoopReplay:
    """Start a system in a folder, replay both loops, read and check its state, and stop it."""
    with system(folder, definitions(folder)) as line:
        up(line)
        calls = replay(line, SPANS)
        settings = settings_of(line)
        loops = {loop.name: loop for loop in load_loops(settings.loops_dir)}
        events = read_events(KafkaSettings.of(settings), EVENTS)
        log = list(read_topics(KafkaSettings.of(settings), [PREDICTIONS]))
        predictions = {name: read_predictions(log, name) for name in loops}
        checks = {name: run_checks(settings, loop, STEP_MS, say=print) for name, loop in loops.items()}
    return TwoLoopReplay(settings, loops, events, predictions, calls, checks)


def definitions(folder: Path, loops: Sequence[str] = (FLIGHTS, ORDERS)) -> dict[str, str]:
    """Link these loops and their features into a folder; return the system's settings for it."""
    folders = {FLIGHTS: (ROOT / "loops", ROOT / "feature_repo")}
    folders[ORDERS] = (ROOT / "tests" / "loops", ROOT / "tests" / "loops" / "feature_repo")
    (folder / "loops").mkdir()
    (folder / "features").mkdir()
    (folder / "features" / "feature_store.yaml").symlink_to(ROOT / "feature_repo" / "feature_store.yaml")
    for loop in loops:
        (folder / "loops" / loop).symlink_to(folders[loop][0] / loop)
        (folder / "features" / f"{loop}.py").symlink_to(folders[loop][1] / f"{loop}.py")
    return {"DRIFTLOOP_LOOPS_DIR": str(folder / "loops"), "DRIFTLOOP_FEATURE_REPO": str(folder / "features")}


def settings_of(line: CommandLine) -> Settings:
    """Return a command line's settings, for use in this process."""
    environment = line.environment
    return Settings(
        home=Path(environment["DRIFTLOOP_HOME"]),
        loops_dir=Path(environment["DRIFTLOOP_LOOPS_DIR"]),
        feature_repo=Path(environment["DRIFTLOOP_FEATURE_REPO"]),
        port_base=int(environment["PORT_BASE"]),
        store_url=environment.get("DRIFTLOOP_STORE_URL", ""),
    )


def up(line: CommandLine) -> None:
    """Start the system."""
    started = line.run("up", "--timeout", "600", timeout_s=660.0)
    assert started.returncode == 0, started.stdout[-2000:] + started.stderr[-2000:]


def replay(line: CommandLine, spans: Mapping[str, tuple[str, str]], *more: str) -> dict[str, dict[str, int]]:
    """Replay loops at once, with a producer and a caller each; return the output of the callers."""
    return collect(start_replay(line, spans, *more))


def start_replay(line: CommandLine, spans: Mapping[str, tuple[str, str]], *more: str) -> Clients:
    """Start a producer and a caller for each loop."""
    return {
        (command, loop): line.start(command, loop, "--start", start, "--end", end, "--step", STEP, *more, *PATIENCE)
        for loop, (start, end) in spans.items()
        for command in ("call", "replay")
    }


def collect(clients: Clients) -> dict[str, dict[str, int]]:
    """Wait for producers and callers; return the output of the callers by loop."""
    output = collect_json(clients, 600.0)
    return {loop: content for (command, loop), content in output.items() if command == "call"}
