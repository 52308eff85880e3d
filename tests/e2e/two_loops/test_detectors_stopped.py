"""Without detectors there is no alarm; started later, they raise the same alarm as in an undisturbed run."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.events.envelope import Envelope
from driftloop.events.event_log import read_events
from driftloop.ops.system.control_socket import socket_folder
from driftloop.process.settings import ROOT
from tests.e2e.command_line import CommandLine, system
from tests.e2e.two_loops.harness import ORDERS, TwoLoopReplay, definitions, replay, settings_of, up
from tests.helpers.eventually import assert_eventually

pytestmark = [pytest.mark.e2e, pytest.mark.proof, pytest.mark.timeout(930)]

DECIDED = "monitoring.window-decided.v1"
ALARMS = "monitoring.drift-detected.v1"
UNTIL_ALARM = ("2020-09-13", "2020-09-30")
"""Ends a day after the alarm."""


@dataclass(frozen=True)
class StoppedDetectors:
    """Orders replayed with the detectors stopped, and the events after they were started again."""

    before: list[Envelope[monitoring.DriftDetected]]
    deciders_before: set[str]
    after: list[Envelope[monitoring.DriftDetected]]
    windows: list[Envelope[monitoring.WindowClosed]]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> StoppedDetectors:
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.MonkeyPatch.context() as patch, system(folder, definitions(folder, [ORDERS])) as line:
        patch.setenv("TZ", "UTC")
        up(line)
        _supervise(line, "stop", "detectors")
        replay(line, {ORDERS: UNTIL_ALARM}, "--ignore-decider", "detectors")
        before, decided = _alarms(line), _deciders(line)
        _supervise(line, "start", "detectors")
        after = assert_eventually(lambda: _alarms(line), 120.0, "the alarm")
        kafka = KafkaSettings.of(settings_of(line))
        windows = read_events(kafka, ["monitoring.window-closed.v1"])
    return StoppedDetectors(before, decided, after, windows)


def test_stopped_detectors_raise_no_alarm(stopped: StoppedDetectors) -> None:
    assert stopped.before == []
    assert stopped.deciders_before == {"evaluation", "training"}
    assert len(stopped.windows) > 20


def test_restarted_detectors_raise_the_same_alarm_as_in_an_undisturbed_run(
    stopped: StoppedDetectors, two_loops: TwoLoopReplay
) -> None:
    [alarm] = stopped.after
    [undisturbed] = [event for event in two_loops.of(ORDERS, monitoring.DriftDetected) if event.data.mode == "trigger"]
    assert alarm.id == undisturbed.id
    assert alarm.data == undisturbed.data  # release, episode, statistic and evidence
    assert set(alarm.data.evidence_ids) <= {event.id for event in stopped.windows}


def _supervise(line: CommandLine, command: str, part: str) -> None:
    """Stop or start one part through the supervisor, and wait until that is done."""
    [path] = socket_folder(settings_of(line).home).iterdir()
    circusctl = Path(sys.executable).with_name("circusctl")
    subprocess.run(
        [circusctl, "--endpoint", f"ipc://{path}", "--timeout", "30", command, part, "--waiting"],
        cwd=ROOT, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=60.0,
    )  # fmt: skip


def _alarms(line: CommandLine) -> list[Envelope[monitoring.DriftDetected]]:
    return read_events(KafkaSettings.of(settings_of(line)), [ALARMS])


def _deciders(line: CommandLine) -> set[str]:
    return {event.data.decider for event in read_events(KafkaSettings.of(settings_of(line)), [DECIDED])}
