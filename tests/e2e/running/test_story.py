"""The loop closes on real flights, on real Kafka, Feast, torch, MLflow and Triton, with one row in a hundred late."""

from __future__ import annotations

import pytest

from tests.e2e.running.system import Running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]


def test_one_promotion_comes_out_of_a_drift_alarm(running: Running) -> None:
    types = [each["type"].rsplit(".", 1)[-1] for each in running.report["chain"]]
    assert types[0] == "DriftDetected"
    assert types[-1] == "ChampionPromoted"
    promoted = [each for chain in running.report["chains"] for each in chain if each["type"].endswith("Promoted")]
    assert len(promoted) == 2, "the first champion's, and that one"


def test_its_evidence_is_named(running: Running) -> None:
    assert len(running.report["chain"][0]["evidence_ids"]) >= 14


def test_a_scheduled_candidate_is_refused(running: Running) -> None:
    stages = [[stage["stage"] for stage in release["stages"]] for release in running.report["releases"]]
    assert ["shadow", "rejected"] in stages


def test_with_late_rows_every_check_is_equal_and_compared_something(running: Running) -> None:
    assert [each for each in running.report["checks"] if each["unequal"]] == []
    assert running.report["skew"]["compared"] > 1_000_000


def test_no_prediction_failed(running: Running) -> None:
    assert running.report["predictions"]["failed"] == 0
    assert running.report["predictions"]["served"] > 30_000
