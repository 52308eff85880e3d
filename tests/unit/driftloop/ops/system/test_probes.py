from __future__ import annotations

import threading

import pytest

from driftloop.ops.system.probes import Deadline, Probe, RunningProbes
from driftloop.process.errors import DriftloopError
from tests.helpers.eventually import assert_eventually


def now() -> bool:
    return True


def refuse(_: Deadline) -> None:
    raise DriftloopError("no answer; look there")


def test_a_probe_runs_when_possible_and_is_reported_once() -> None:
    possible, ran = threading.Event(), threading.Event()
    with RunningProbes([Probe("inference", "triton", possible.is_set, lambda _: ran.set())], 60.0) as running:
        assert running.answered() == []
        assert not ran.is_set()
        possible.set()
        [(name, _)] = assert_eventually(running.answered)
        assert (name, ran.is_set(), running.unanswered) == ("inference", True, [])
        assert running.answered() == []


def test_a_waiting_probe_does_not_block_another() -> None:
    possible = threading.Event()
    probes = [Probe("slow", "a", possible.is_set, lambda _: None), Probe("quick", "a", now, lambda _: None)]
    with RunningProbes(probes, 60.0) as probing:
        [(name, _)] = assert_eventually(probing.answered)
        assert (name, [probe.name for probe in probing.unanswered]) == ("quick", ["slow"])
        possible.set()
        [(name, _)] = assert_eventually(probing.answered)
        assert name == "slow"


def test_a_failed_probe_raises_in_the_caller() -> None:
    with RunningProbes([Probe("inference", "triton", now, refuse)], 60.0) as probing:
        with pytest.raises(DriftloopError, match="look there"):
            assert_eventually(probing.answered)
        assert [probe.name for probe in probing.unanswered] == ["inference"]


def test_a_probe_that_is_never_possible_ends_at_the_deadline() -> None:
    with (
        RunningProbes([Probe("inference", "triton", lambda: False, refuse)], 0.01) as probing,
        pytest.raises(DriftloopError, match=r"inference: .* not ready in time"),
    ):
        assert_eventually(probing.answered)


def test_leaving_the_context_cancels_probes() -> None:
    left: list[float] = []
    begun, done = threading.Event(), threading.Event()

    def ask(deadline: Deadline) -> None:
        begun.set()
        while deadline.remaining_s():
            done.wait(0.001)
        left.append(deadline.remaining_s())
        done.set()

    with RunningProbes([Probe("event", "ingestion", now, ask)], 90.0):
        assert begun.wait(60)
    assert done.is_set()
    assert left == [0.0]


def test_a_deadline_expires() -> None:
    assert 0 < Deadline(600.0).remaining_s() <= 600.0
    assert Deadline(0.0).remaining_s() == 0.0
