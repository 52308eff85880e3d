"""Run commands on the running system, and bring a release to a stage where people can act."""

from __future__ import annotations

import io
import json
import time
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import pytest

from driftloop.bus.kafka_batch import KafkaBatchProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts.training_pb2 import Bundle
from driftloop.events.envelope import Envelope, to_record
from driftloop.events.event_log import read_events
from driftloop.ops.cli import main
from driftloop.readmodel.loop_history import loop_states
from driftloop.readmodel.loops import LoopState
from tests.e2e.running.system import RunningSystem
from tests.helpers.eventually import assert_eventually

WHY = ("--why", "a test asks", "--who", "anna")


def run_command(running: RunningSystem, *arguments: str, code: int = 0) -> str:
    """Run a command in this process, which is faster than in a new one, and return its output."""
    out, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(errors):
        for name, value in running.line.environment.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main(arguments)
    assert ended.value.code == code, out.getvalue() + errors.getvalue()
    return (out if code == 0 else errors).getvalue()


def run_json(running: RunningSystem, *arguments: str) -> Any:
    return json.loads(run_command(running, *arguments, "--json"))


def state(running: RunningSystem) -> LoopState:
    events = [event for event in read_events(KafkaSettings.of(running.settings)) if event.loop == running.loop.name]
    [loop_state] = loop_states(events)
    return loop_state


def publish_verdict(
    running: RunningSystem, release: str, stage: str, outcome: evaluation.Outcome, at: LoopState
) -> None:
    """Publish a verdict on the champion's bundle under another release's name, as the evaluation service does."""
    bundle = Bundle(uri=str(running.bundle().folder), digest=running.bundle().digest)
    data = evaluation.VerdictReached(
        loop=running.loop.name, stage=stage, release_id=release, outcome=outcome, bundle=bundle,
        run_id=f"run-of-{release}", request_id=f"request-of-{release}", reasons=["a test"],
        champion_release_id=at.champion,
    )  # fmt: skip
    name = f"{release}-{stage}-{time.time_ns()}"
    event: Envelope[Any] = Envelope(
        name, "/driftloop/evaluation", data.DESCRIPTOR.full_name, data.loop, at.time_ms + 1,
        time.time_ns() // 1_000_000, name, None, None, data,
    )  # fmt: skip
    producer = KafkaBatchProducer(KafkaSettings.of(running.settings))
    producer.send([to_record(event)])
    producer.close()


def bring_to_stage(running: RunningSystem, release: str, stage: str) -> None:
    """Bring a release to a stage and wait until the router has applied the route."""
    loop = running.loop.name
    publish_verdict(running, release, "offline", evaluation.BETTER, state(running))
    assert_eventually(lambda: (at := state(running)).release == release and at.converged_epoch == at.epoch)
    if stage == "waiting":
        run_command(running, "pause", loop, *WHY)
    if stage in ("waiting", "canary"):
        publish_verdict(running, release, "shadow", evaluation.BETTER, state(running))
    if stage == "waiting":
        assert_eventually(lambda: state(running).waiting)
        run_command(running, "resume", loop, *WHY)
    elif stage == "canary":
        assert_eventually(lambda: (at := state(running)).stage == "canary" and at.converged_epoch == at.epoch)
