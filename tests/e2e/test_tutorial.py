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

from driftloop.contracts import control_pb2 as control
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.events.envelope import Envelope
from driftloop.events.event_log import read_events
from driftloop.process import tcp_ports
from driftloop.process.settings import ROOT, Settings
from tests.e2e.session import listening
from tests.helpers.markdown import Ran, blocks, shell
from tests.helpers.ports import free_port_base

pytestmark = [pytest.mark.e2e, pytest.mark.proof, pytest.mark.timeout(1800)]

TUTORIAL = ROOT / "docs" / "tutorial.md"
NOT_COPIED = shutil.ignore_patterns(".*", "var", "out", "__pycache__", "*.egg-info")
"""Files of a checkout that people and tools have created."""
PROMISED_S = 15 * 60
_CHANGING = re.compile(r"\b(?:run|r)-[0-9a-f]{12}\b|\b[0-9a-f]{8,}\b|[+-]?\d[\d,.]*")
"""Ids and numbers."""


@dataclass(frozen=True)
class Followed:
    """The tutorial, run to its end."""

    base: int
    ran: Sequence[tuple[Ran, str]]
    """Each block, and the output that the page shows for it."""
    events: Sequence[Envelope[Any]]
    """Events of the tutorial's loop before the system was stopped."""

    def of(self, *kinds: type[Message]) -> list[Any]:
        """Return the messages of some types in order of publication."""
        return [event.data for event in self.events if isinstance(event.data, kinds)]

    def said(self, command: str) -> str:
        """Return the output of the last block with this command."""
        return [each.output for each, _ in self.ran if command in each.block.text][-1]


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
def followed(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    found = blocks(TUTORIAL)
    steps = [each for each in found if each.language != "text"]
    shown = {before: after.text for before, after in pairwise(found) if after.language == "text"}
    with checkout(tmp_path_factory.mktemp("tutorial")) as (folder, environment, settings):
        with shell(folder, environment, addresses(settings)) as bash:
            ran = [(bash.run(each, timeout_s=900.0), shown.get(each, "")) for each in steps[:-1]]
            events = [each for each in read_events(settings.kafka_bootstrap) if each.loop == "parcels"]
            ran.append((bash.run(steps[-1]), ""))
        return Followed(settings.port_base, ran, events)


def addresses(here: Settings) -> Mapping[str, str]:
    """Map the addresses in documents, which are those of `.env`, to those of a system with other ports."""
    told = Settings(port_base=0)
    return {told.kafka_bootstrap: here.kafka_bootstrap, told.triton_grpc: here.triton_grpc}


def test_it_takes_less_than_it_promises(followed: Followed) -> None:
    assert sum(each.seconds for each, _ in followed.ran) < PROMISED_S


def test_commands_print_what_the_page_shows(followed: Followed) -> None:
    shown = [(ran, text) for ran, text in followed.ran if text]
    assert len(shown) == 3
    for ran, text in shown:
        printed = [_CHANGING.sub("#", line) for line in ran.output.splitlines()]
        for line in text.splitlines():
            assert _CHANGING.sub("#", line) in printed, f"{ran.block}: {ran.output}"


def test_a_first_champion_answers_and_says_where_it_comes_from(followed: Followed) -> None:
    [promoted] = followed.of(registry.ChampionPromoted)
    assert f"champion {promoted.release_id}" in followed.said("driftloop wait parcels --for champion")
    answer = dict(line.split(maxsplit=1) for line in followed.said("ask.py mine").splitlines() if line)
    assert answer["release_id"] == promoted.release_id
    assert answer["feature_age_s"] == "3600.0"
    lineage = followed.said("lineage ask-mine")
    assert all(word in lineage for word in ("ask-mine", promoted.release_id, "parcels.settled"))


def test_a_day_closes_with_its_outcomes_and_is_restated_for_the_corrected_one(followed: Followed) -> None:
    closed = followed.of(monitoring.WindowClosed)
    assert "outcomes joined" in followed.said("timeline parcels --all")
    [restated] = followed.of(monitoring.WindowRestated)
    [about] = [each for each in closed if each.window_id == restated.window_id]
    assert about.joins.joined > 50
    assert restated.corrections == 1


def test_a_candidate_that_a_person_asked_for_is_taken_back_in_shadow(followed: Followed) -> None:
    [asked], [taken] = followed.of(control.Retrain), followed.of(control.Rollback)
    assert (asked.why, taken.why) == ("trying it out", "that will do")
    [back] = followed.of(registry.ReleaseRolledBack)
    assert back.from_stage == "shadow"
    assert f"{back.release_id} in shadow" in followed.said("driftloop wait parcels\n")
    assert "that will do" in followed.said("driftloop history parcels")


def test_nothing_is_left_at_its_end(followed: Followed) -> None:
    assert "stopped" in followed.said("driftloop down")
    assert listening(followed.base) == []
