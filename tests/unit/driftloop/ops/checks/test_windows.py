"""The check recomputes monitoring's windows, including corrections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from driftloop.bus.ports import Record
from driftloop.contracts import ingestion_pb2 as ingestion
from driftloop.events.envelope import Envelope
from driftloop.ops.checks.predictions import Predictions, read_predictions
from driftloop.ops.checks.windows import recount_windows, reported_windows, window_check
from services.monitoring.bootstrap import OUTCOMES, PREDICTIONS
from services.monitoring.messages import outcomes
from tests.unit.monitoring.harness import JoinerHarness, definition
from tests.unit.monitoring.story import story


@pytest.fixture
def harness(tmp_path: Path) -> JoinerHarness:
    joiner = JoinerHarness(tmp_path)
    joiner.send(*story(days=8))
    joiner.run()
    return joiner


def log(harness: JoinerHarness) -> Predictions:
    return read_predictions(harness.broker.records(PREDICTIONS), "orders")


def values(records: list[Record]) -> list[tuple[str, int, float]]:
    name = ingestion.OutcomesAccepted.DESCRIPTOR.full_name.encode()
    messages = [
        ingestion.OutcomesAccepted.FromString(record.value or b"")
        for record in records
        if record.header("ce_type") == name
    ]
    rows = sorted(
        (outcome.row for message in messages for outcome in outcomes(message, "binary", 0)), key=lambda row: row.order
    )
    return [(row.key, row.visible_ms, row.value) for row in rows]


def events(harness: JoinerHarness) -> list[Envelope[Any]]:
    return [*harness.restated(), *harness.windows()]


def test_sums_with_corrections_are_recomputed(harness: JoinerHarness) -> None:
    sums = recount_windows(log(harness), values(harness.broker.records(OUTCOMES)), definition(), 8 * 86_400_000)
    check = window_check(reported_windows(events(harness)), sums)
    assert (check.compared, check.unequal, check.detail) == (16, 0, "")
    assert len(harness.restated()) > 3


def test_a_missing_restatement_is_unequal(harness: JoinerHarness) -> None:
    sums = recount_windows(log(harness), values(harness.broker.records(OUTCOMES)), definition(), 8 * 86_400_000)
    check = window_check(reported_windows(harness.windows()), sums)
    assert check.unequal == 2 * len({event.data.end_ms for event in harness.restated()})
    assert "reported Sums" in check.detail


def test_a_window_that_only_one_side_has_is_unequal(harness: JoinerHarness) -> None:
    sums = recount_windows(log(harness), values(harness.broker.records(OUTCOMES)), definition(), 8 * 86_400_000)
    assert window_check(reported_windows(harness.windows()[:-1]), sums).unequal > 0
    assert window_check(reported_windows(events(harness)), {}).unequal == 16
