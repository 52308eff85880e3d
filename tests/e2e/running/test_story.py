"""The loop closes on real flights, on real Kafka, Feast, torch, MLflow and Triton, with one row in a hundred late."""

from __future__ import annotations

import pytest

from tests.e2e.running.system import RunningSystem

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]


def test_a_drift_alarm_leads_to_one_promotion(running: RunningSystem) -> None:
    types = [event["type"].rsplit(".", 1)[-1] for event in running.report["chain"]]
    assert types[0] == "DriftDetected"
    assert types[-1] == "ChampionPromoted"
    promoted = [event for chain in running.report["chains"] for event in chain if event["type"].endswith("Promoted")]
    assert len(promoted) == 2, "the first champion and the drift promotion"


def test_the_alarm_names_its_evidence(running: RunningSystem) -> None:
    assert len(running.report["chain"][0]["evidence_ids"]) >= 14


def test_a_scheduled_candidate_is_rejected(running: RunningSystem) -> None:
    stages = [[stage["stage"] for stage in release["stages"]] for release in running.report["releases"]]
    assert ["shadow", "rejected"] in stages


def test_with_late_rows_every_check_is_equal_and_compared_something(running: RunningSystem) -> None:
    assert [check for check in running.report["checks"] if check["unequal"]] == []
    assert running.report["skew"]["compared"] > 1_000_000


def test_no_prediction_failed(running: RunningSystem) -> None:
    assert running.report["predictions"]["failed"] == 0
    assert running.report["predictions"]["served"] > 30_000
