"""The shipped story: no late rows, and every decision on the day that the simulation predicts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.command_line import CommandLine

pytestmark = [pytest.mark.e2e, pytest.mark.proof, pytest.mark.timeout(930)]


@pytest.fixture(scope="module")
def report(driftloop: CommandLine) -> dict[str, Any]:
    """Run the demo over the shipped days, until two days after the promotion, in steps of six hours."""
    ended = driftloop.run("demo", "--step", "6h", "--end", "2013-05-10", "--out", str(driftloop.out))
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]
    return driftloop.report()


def test_a_drift_alarm_leads_to_one_promotion(report: dict[str, Any]) -> None:
    types = [event["type"].rsplit(".", 1)[-1] for event in report["chain"]]
    assert types[0] == "DriftDetected"
    assert types[-1] == "ChampionPromoted"


def test_a_scheduled_candidate_is_rejected(report: dict[str, Any]) -> None:
    stages = [[stage["stage"] for stage in release["stages"]] for release in report["releases"]]
    assert ["shadow", "rejected"] in stages


def test_every_check_is_equal_and_compared_something(report: dict[str, Any]) -> None:
    assert [check for check in report["checks"] if check["unequal"]] == []
    assert report["skew"]["compared"] > 1_000_000


def test_no_prediction_failed(report: dict[str, Any]) -> None:
    assert report["predictions"]["failed"] == 0
    assert report["predictions"]["served"] > 90_000


def test_evidence_resolves(report: dict[str, Any]) -> None:
    alarm = report["chain"][0]
    assert len(alarm["evidence_ids"]) >= 14


def test_decisions_match_the_simulation(report: dict[str, Any]) -> None:
    """Seed 0 of the table in `loops/flights/README.md`: two implementations decide on the same days."""
    alarm = report["chain"][0]
    stages = [[(stage["stage"], stage["at"][:10]) for stage in release["stages"]] for release in report["releases"]]
    assert alarm["event_time"].startswith("2013-04-24")
    assert stages == [
        [("champion", "2013-01-29"), ("retired", "2013-05-08")],
        [("shadow", "2013-02-18"), ("rejected", "2013-02-28")],
        [("shadow", "2013-04-08"), ("rejected", "2013-04-18")],
        [("shadow", "2013-04-24"), ("canary", "2013-05-04"), ("champion", "2013-05-08")],
    ]
