"""An open breaker is shown wherever state is shown, with its cause, what it holds back and what to do."""

from __future__ import annotations

import json
import urllib.request

import pytest

from driftloop.contracts.monitoring_pb2 import DriftDetected
from driftloop.contracts.training_pb2 import RunFailed
from driftloop.ops.system.health import read_metrics
from driftloop.ops.system.parts import parts
from tests.e2e.faults.system import ORDERS, FaultySystem
from tests.helpers.eventually import assert_eventually

pytestmark = [pytest.mark.e2e, pytest.mark.proof, pytest.mark.timeout(900)]

WHY = ("--why", "a test asks", "--who", "anna")
BROKEN = ("        del seed", '        raise RuntimeError("no such column"); del seed')
NEXT = "the breaker is open after 1 failures in a row, so only a person starts a run"
ADVICE = f"Fix the cause, then driftloop retrain {ORDERS} --why ..."


def failed_runs(faulty: FaultySystem) -> int:
    return sum(isinstance(event.data, RunFailed) for event in faulty.events(ORDERS))


def test_an_open_breaker_is_shown_everywhere_with_what_to_do(faulty: FaultySystem) -> None:
    before = failed_runs(faulty)
    faulty.edit("model.py", BROKEN)
    try:
        asked = faulty.line.run("retrain", ORDERS, *WHY)
        assert asked.returncode == 0, asked.stderr
        assert_eventually(lambda: failed_runs(faulty) == before + 1, 300.0, "the failed run")
    finally:
        faulty.edit("model.py", (BROKEN[1], BROKEN[0]))
    champion = faulty.champion().release_id
    alarm = DriftDetected(
        loop=ORDERS, detector="returns", release_id=champion, mode="trigger", statistic=9.0, threshold=4.0, blocks=10,
        evidence_ids=["orders/2020-09-23T00:00:00.000Z"],
    )  # fmt: skip
    faulty.publish("monitoring", alarm)
    assert_eventually(lambda: faulty.loop_status()["kept"], 120.0, "the kept alarm")

    loop = faulty.loop_status()
    assert (loop["breaker_open"], loop["failures"], loop["breaker"]) == (True, 1, 1)
    assert "no such column" in loop["last_failure"]
    assert [(reason["kind"], reason["because"]) for reason in loop["kept"]] == [("drift", "breaker")]
    with urllib.request.urlopen(f"http://{faulty.settings.control_http}/api/loops", timeout=30) as answer:
        [shown] = [entry for entry in json.load(answer)["loops"] if entry["name"] == ORDERS]
    waited = faulty.line.run("wait", ORDERS)
    for text in (faulty.line.run("status").stdout, waited.stdout, shown["next"]):
        words = " ".join(text.replace("\u2502", " ").split())
        assert "the breaker is open after" in words, text
    assert NEXT in shown["next"]
    assert ADVICE in shown["next"]
    assert "no such column" in shown["next"]
    assert "kept: drift of" in shown["next"]
    assert shown["breaker_open"] is True
    timeline = faulty.line.run("timeline", ORDERS).stdout
    assert "because the breaker is open: only a person starts a run" in timeline
    [training] = [part for part in parts(faulty.settings) if part.name == "training"]
    shown_open = {
        sample.labels["loop"]: sample.value
        for sample in read_metrics(training, 30.0)
        if sample.name == "driftloop_training_breaker_open"
    }
    assert shown_open[ORDERS] == 1
