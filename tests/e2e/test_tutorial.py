"""docs/tutorial.md is correct: each of its commands and files, in order, in its own checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.contracts import control_pb2 as control
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.events.envelope import Envelope
from driftloop.events.event_log import read_events
from driftloop.process import tcp_ports
from driftloop.process.settings import ROOT, Settings
from tests.e2e.session import open_ports
from tests.helpers.markdown import BlockResult, blocks, shell
from tests.helpers.ports import free_port_base

pytestmark = [pytest.mark.e2e, pytest.mark.proof, pytest.mark.timeout(1800)]

TUTORIAL = ROOT / "docs" / "tutorial.md"
NOT_COPIED = shutil.ignore_patterns(".*", "var", "out", "__pycache__", "*.egg-info")
"""Files of a checkout that people and tools have created."""
PROMISED_S = 15 * 60
_CHANGING = re.compile(r"\b(?:run|r)-[0-9a-f]{12}\b|\b[0-9a-f]{8,}\b|[+-]?\d[\d,.]*")
"""Ids and numbers."""


@dataclass(frozen=True)
class TutorialRun:
    """The tutorial, run to its end."""

    base: int
    ran: Sequence[tuple[BlockResult, str]]
    """Each block, and the output that the page shows for it."""
    events: Sequence[Envelope[Any]]
    """Events of the tutorial's loop before the system was stopped."""

    def messages(self, *kinds: type[Message]) -> list[Any]:
        """Return the messages of some types in order of publication."""
        return [event.data for event in self.events if isinstance(event.data, kinds)]

    def output_of(self, command: str) -> str:
        """Return the output of the last block with this command."""
        return [ran.output for ran, _ in self.ran if command in ran.block.text][-1]


@contextmanager
def checkout(folder: Path) -> Iterator[tuple[Path, dict[str, str], Settings]]:
    """Yield a copy of this checkout that shares its set-up, with its environment and its settings."""
    copy = folder / "driftloop"
    shutil.copytree(ROOT, copy, ignore=NOT_COPIED)
    (copy / ".env").write_text((ROOT / ".env").read_text())
    (copy / ".local").symlink_to(ROOT / ".local")
    own = {name: value for name, value in os.environ.items() if name not in tcp_ports.OFFSETS}
    environment = {**own, "PYTHONPATH": str(copy), tcp_ports.BASE: str(free_port_base())}
    settings = Settings(home=copy / "var", port_base=int(environment[tcp_ports.BASE]))
    try:
        yield copy, environment, settings
    finally:
        down = [sys.executable, "-m", "driftloop.ops.cli", "down"]
        subprocess.run(down, cwd=copy, env=environment, check=True, timeout=120.0, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> TutorialRun:
    tutorial_blocks = blocks(TUTORIAL)
    steps = [block for block in tutorial_blocks if block.language != "text"]
    shown = {before: after.text for before, after in pairwise(tutorial_blocks) if after.language == "text"}
    with checkout(tmp_path_factory.mktemp("tutorial")) as (folder, environment, settings):
        with shell(folder, environment, addresses(settings)) as bash:
            ran = [(bash.run(step, timeout_s=900.0), shown.get(step, "")) for step in steps[:-1]]
            events = [event for event in read_events(KafkaSettings.of(settings)) if event.loop == "parcels"]
            ran.append((bash.run(steps[-1]), ""))
        return TutorialRun(settings.port_base, ran, events)


def addresses(settings: Settings) -> Mapping[str, str]:
    """Map the addresses in documents, which are those of `.env`, to those of a system with other ports."""
    documented = Settings(port_base=0)
    return {documented.kafka_bootstrap: settings.kafka_bootstrap, documented.triton_grpc: settings.triton_grpc}


def test_the_tutorial_takes_less_time_than_promised(tutorial: TutorialRun) -> None:
    assert sum(ran.seconds for ran, _ in tutorial.ran) < PROMISED_S


def test_commands_print_what_the_page_shows(tutorial: TutorialRun) -> None:
    shown = [(ran, text) for ran, text in tutorial.ran if text]
    assert len(shown) == 3
    for ran, text in shown:
        printed = [_CHANGING.sub("#", line) for line in ran.output.splitlines()]
        for line in text.splitlines():
            assert _CHANGING.sub("#", line) in printed, f"{ran.block}: {ran.output}"


def test_the_first_champion_answers_and_its_lineage_is_shown(tutorial: TutorialRun) -> None:
    [promoted] = tutorial.messages(registry.ChampionPromoted)
    assert f"champion {promoted.release_id}" in tutorial.output_of("driftloop wait parcels --for champion")
    answer = dict(line.split(maxsplit=1) for line in tutorial.output_of("ask.py mine").splitlines() if line)
    assert answer["release_id"] == promoted.release_id
    assert answer["feature_age_s"] == "3600.0"
    lineage = tutorial.output_of("lineage ask-mine")
    assert all(word in lineage for word in ("ask-mine", promoted.release_id, "parcels.settled"))


def test_a_corrected_outcome_restates_its_day(tutorial: TutorialRun) -> None:
    closed = tutorial.messages(monitoring.WindowClosed)
    assert "outcomes joined" in tutorial.output_of("timeline parcels --all")
    [restated] = tutorial.messages(monitoring.WindowRestated)
    [corrected] = [window for window in closed if window.window_id == restated.window_id]
    assert corrected.joins.joined > 50
    assert restated.corrections == 1


def test_a_requested_candidate_is_rolled_back_in_shadow(tutorial: TutorialRun) -> None:
    [retrain], [rollback] = tutorial.messages(control.Retrain), tutorial.messages(control.Rollback)
    assert (retrain.why, rollback.why) == ("trying it out", "that will do")
    [rolled_back] = tutorial.messages(registry.ReleaseRolledBack)
    assert rolled_back.from_stage == "shadow"
    assert f"{rolled_back.release_id} in shadow" in tutorial.output_of("driftloop wait parcels\n")
    assert "that will do" in tutorial.output_of("driftloop history parcels")


def test_nothing_runs_after_the_tutorial(tutorial: TutorialRun) -> None:
    assert "stopped" in tutorial.output_of("driftloop down")
    assert open_ports(tutorial.base) == []
