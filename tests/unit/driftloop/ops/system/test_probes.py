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


def test_a_probe_is_asked_once_it_can_be_and_told_once() -> None:
    possible, asked = threading.Event(), threading.Event()
    with RunningProbes([Probe("inference", "triton", possible.is_set, lambda _: asked.set())], 60.0) as probing:
        assert probing.answered() == []
        assert not asked.is_set()
        possible.set()
        [(name, _)] = assert_eventually(probing.answered)
        assert (name, asked.is_set(), probing.unanswered) == ("inference", True, [])
        assert probing.answered() == []


def test_one_that_waits_does_not_hold_another_back() -> None:
    possible = threading.Event()
    probes = [Probe("slow", "a", possible.is_set, lambda _: None), Probe("quick", "a", now, lambda _: None)]
    with RunningProbes(probes, 60.0) as probing:
        [(name, _)] = assert_eventually(probing.answered)
        assert (name, [probe.name for probe in probing.unanswered]) == ("quick", ["slow"])
        possible.set()
        [(name, _)] = assert_eventually(probing.answered)
        assert name == "slow"


def test_what_goes_wrong_reaches_who_waits() -> None:
    with RunningProbes([Probe("inference", "triton", now, refuse)], 60.0) as probing:
        with pytest.raises(DriftloopError, match="look there"):
            assert_eventually(probing.answered)
        assert [probe.name for probe in probing.unanswered] == ["inference"]


def test_what_can_never_be_asked_ends_with_patience() -> None:
    with (
        RunningProbes([Probe("inference", "triton", lambda: False, refuse)], 0.01) as probing,
        pytest.raises(DriftloopError, match=r"inference: .* not ready in time"),
    ):
        assert_eventually(probing.answered)


def test_at_its_end_no_probe_has_patience_left() -> None:
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


def test_patience_ends_by_itself() -> None:
    assert 0 < Deadline(600.0).remaining_s() <= 600.0
    assert Deadline(0.0).remaining_s() == 0.0
