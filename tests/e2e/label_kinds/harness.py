"""New loops from `driftloop init`, one of each kind of label, in one system: two weeks and two days."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from confluent_kafka import Producer
from google.protobuf.message import Message

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.events.envelope import Envelope
from driftloop.events.event_log import read_events, read_topics
from driftloop.loop import load_loops
from driftloop.loop.scaffold import KINDS
from driftloop.ops.checks.model import Findings
from driftloop.ops.checks.predictions import Predictions, read_predictions
from driftloop.ops.checks.run import PREDICTIONS
from driftloop.ops.checks.run import run as run_checks
from driftloop.process.settings import ROOT, Settings
from tests.e2e.command_line import CommandLine, collect_json, system
from tests.e2e.two_loops.harness import STEP, STEP_MS, replay, settings_of, up

HOUR_MS = 3_600_000
WEEKS = ("2026-01-01", "2026-01-15")
"""Until the first champion: a new loop trains it after 14 days."""
DAY = ("2026-01-15", "2026-01-16")
"""The first champion answers on this day."""
NEXT_DAY = ("2026-01-16", "2026-01-17")
DAY_MS = 1_768_435_200_000
"""Midnight of `DAY`, UTC."""
NEXT_DAY_MS = DAY_MS + 24 * HOUR_MS
LOOPS = {kind: f"cases_{kind}" for kind in KINDS}
CORRECTED = LOOPS["count"]
OUTCOMES: Mapping[str, Any] = {"binary": 1, "regression": 120.5, "count": 3, "multiclass": "fair"}
"""Outcome of the case that the test sends, by kind."""
CASE = "sent-by-hand"


@dataclass(frozen=True)
class Answer:
    """Answer to a plain client: ``score`` is float64 [1], or [K] with K classes."""

    score: np.ndarray[Any, np.dtype[np.float64]]
    release: str
    prediction: str


@dataclass(frozen=True)
class ReplayResult:
    """What the system had stored at its end, and the output of commands on the way."""

    checked: Mapping[str, Any]
    """Output of `driftloop check`, by loop."""
    answers: Mapping[str, Answer]
    """By loop."""
    events: Sequence[Envelope[Any]]
    before: Sequence[Envelope[Any]]
    """Events of the corrected loop before the correction."""
    predictions: Mapping[str, Predictions]
    checks: Mapping[str, Findings]
    timeline: str
    """Of the corrected loop."""
    card: str
    """Model card of the first multiclass champion."""

    def of(self, loop: str, kind: type[Message] = Message) -> list[Envelope[Any]]:
        """Return the events of a loop with this message type, in order of publication."""
        return [event for event in self.events if event.loop == loop and isinstance(event.data, kind)]


def replay_all(folder: Path) -> ReplayResult:
    """Create the loops, start the system, replay all days, and stop the system."""
    (folder / "loops").mkdir()
    (folder / "features").mkdir()
    (folder / "features" / "feature_store.yaml").symlink_to(ROOT / "feature_repo" / "feature_store.yaml")
    settings_dirs = {"DRIFTLOOP_LOOPS_DIR": str(folder / "loops"), "DRIFTLOOP_FEATURE_REPO": str(folder / "features")}
    with system(folder, settings_dirs) as line:
        for kind, loop in LOOPS.items():
            output_of(line, "init", loop, "--kind", kind, "--clock", "request")
        checked = json.loads(output_of(line, "check", "--json"))
        up(line)
        settings = settings_of(line)
        _replay_first_weeks(line)
        answers = {loop: _send_case(settings, kind, loop) for kind, loop in LOOPS.items()}
        replay(line, dict.fromkeys(LOOPS.values(), DAY))
        before = [event for event in read_events(KafkaSettings.of(settings)) if event.loop == CORRECTED]
        _send(settings, f"{CORRECTED}.settled", _settled("corrected", NEXT_DAY_MS + HOUR_MS, OUTCOMES["count"] + 4))
        replay(line, {CORRECTED: NEXT_DAY})
        loops = {loop.name: loop for loop in load_loops(settings.loops_dir)}
        log = list(read_topics(KafkaSettings.of(settings), [PREDICTIONS]))
        champion = answers[LOOPS["multiclass"]].release
        output_of(line, "report", champion, "-o", str(folder / "card.html"))
        return ReplayResult(
            checked,
            answers,
            read_events(KafkaSettings.of(settings)),
            before,
            {name: read_predictions(log, name) for name in loops},
            {name: run_checks(settings, loop, STEP_MS, say=print) for name, loop in loops.items()},
            output_of(line, "timeline", CORRECTED, "-n", "0"),
            (folder / "card.html").read_text(),
        )


def output_of(line: CommandLine, *arguments: str) -> str:
    """Return the output of a command that must succeed."""
    ended = line.run(*arguments, timeout_s=300.0)
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    return ended.stdout


def _replay_first_weeks(line: CommandLine) -> None:
    """Replay the first two weeks of all loops at once, without prediction requests."""
    span = ("--start", WEEKS[0], "--end", WEEKS[1], "--step", STEP, "--no-caller")
    collect_json({loop: line.start("replay", loop, *span) for loop in LOOPS.values()}, 900.0)


def _send_case(settings: Settings, kind: str, loop: str) -> Answer:
    """Send one case with a plain producer and a plain client, and settle it eight hours later."""
    asked = {"event_id": "asked-by-hand", "event_time_ms": DAY_MS, "decide_at_ms": DAY_MS + HOUR_MS}
    _send(settings, f"{loop}.asked", {**asked, "case_id": CASE, "place": "north", "size": 1.5})
    values: dict[str, str | float] = {
        "case_id": CASE,
        "place": "north",
        "size": 1.5,
        "decision_time_ms": DAY_MS + HOUR_MS,
    }
    with triton.InferenceServerClient(settings.triton_grpc) as client:
        inputs = [_tensor(name, value) for name, value in values.items()]
        answer = client.infer(loop, inputs, request_id=f"{loop}-by-hand", client_timeout=60.0)
    _send(settings, f"{loop}.settled", _settled("settled", DAY_MS + 9 * HOUR_MS, OUTCOMES[kind]))
    release, prediction = (str(answer.as_numpy(name).item(), "utf-8") for name in ("release_id", "prediction_id"))
    return Answer(answer.as_numpy("score")[0], release, prediction)


def _settled(name: str, time_ms: int, outcome: Any) -> dict[str, Any]:
    own = {"event_id": f"{name}-by-hand", "event_time_ms": time_ms, "outcome": outcome}
    return {**own, "case_id": CASE, "place": "north"}


def _send(settings: Settings, topic: str, event: Mapping[str, Any]) -> None:
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap})
    producer.produce(topic, json.dumps(event))
    assert producer.flush(30.0) == 0


def _tensor(name: str, value: str | float) -> triton.InferInput:
    datatype = {str: "BYTES", float: "FP64", int: "INT64"}[type(value)]
    tensor = triton.InferInput(name, [1, 1], datatype)
    tensor.set_data_from_numpy(np.array([[value]], dtype=object if datatype == "BYTES" else None))
    return tensor
