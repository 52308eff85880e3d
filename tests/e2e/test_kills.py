"""A demo whose services are killed during their work ends like an undisturbed one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from driftloop.ops.demo.fault_plan import FAULT_TARGETS
from tests.e2e.command_line import CommandLine, system
from tests.e2e.equality import section
from tests.e2e.running.system import demo
from tests.e2e.two_loops.harness import FLIGHTS, definitions

pytestmark = [pytest.mark.e2e, pytest.mark.proof, pytest.mark.timeout(1230)]


@dataclass(frozen=True)
class Runs:
    """Reports over the same days: without kills, and with one kill per kind of service."""

    quiet: dict[str, Any]
    killed: dict[str, Any]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Run both demos, one after the other."""
    folder = tmp_path_factory.mktemp("kills")
    with system(folder, definitions(folder, [FLIGHTS])) as line:
        quiet = demo(CommandLine(line.environment, folder / "quiet"))
        return Runs(quiet, demo(CommandLine(line.environment, folder / "killed"), "--kill", "3", "--seed", "0"))


def test_each_service_was_killed_once_with_an_event_in_flight(runs: Runs) -> None:
    assert runs.quiet["kills"] == []
    assert sorted(kill["service"] for kill in runs.killed["kills"]) == sorted(FAULT_TARGETS)
    for kill in runs.killed["kills"]:
        assert kill["in_hand"]["id"]
        assert kill["unanswered"] > 0
        assert kill["watermark"] >= kill["planned"]
        assert kill["restarted_s"] > 0


def test_the_event_in_flight_is_on_the_reported_topic(runs: Runs) -> None:
    topics = {kill["service"]: kill["in_hand"]["topic"] for kill in runs.killed["kills"]}
    assert topics["ingestion"] in runs.killed["ingestion"]["accepted"]
    assert topics["features"] == "ingestion.rows-accepted.v1"
    assert topics["registry"] in ("evaluation.verdict-reached.v1", "serving.route-converged.v1")


def test_counts_of_accepted_dead_lettered_and_duplicate_rows_are_equal(runs: Runs) -> None:
    assert sum(runs.quiet["ingestion"]["accepted"].values()) > 100_000
    assert runs.killed["ingestion"] == runs.quiet["ingestion"]


def test_each_release_has_the_same_number_of_unique_predictions(runs: Runs) -> None:
    assert runs.quiet["predictions"]["served"] > 9_000
    assert runs.killed["predictions"] == runs.quiet["predictions"]


def test_counts_of_joined_and_missing_outcomes_are_equal(runs: Runs) -> None:
    assert runs.quiet["outcomes"]["joined"] > 8_000
    assert runs.quiet["outcomes"]["missing"] > 0
    assert runs.killed["outcomes"] == runs.quiet["outcomes"]


def test_releases_stages_and_verdicts_are_equal(runs: Runs) -> None:
    [release] = runs.quiet["releases"]
    assert [stage["stage"] for stage in release["stages"]] == ["champion"]
    assert [verdict["stage"] for verdict in release["verdicts"]] == ["offline"]
    assert runs.killed["releases"] == runs.quiet["releases"]


def test_chains_have_the_same_events(runs: Runs) -> None:
    assert section(runs.quiet, "chains"), "no chain was opened"
    assert section(runs.killed, "chains") == section(runs.quiet, "chains")


def test_quality_is_equal(runs: Runs) -> None:
    assert runs.quiet["quality"]
    assert runs.killed["quality"] == runs.quiet["quality"]
