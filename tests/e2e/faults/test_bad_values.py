"""Values that no sum or loss may contain become dead letters, and no part of the system ends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.faults.system import CASES, CASES_START_MS, ORDERS, ORDERS_END_MS, FaultySystem
from tests.helpers.eventually import assert_eventually

pytestmark = [pytest.mark.e2e, pytest.mark.proof, pytest.mark.timeout(900)]

SHELVED, SETTLED = "shops.shelved", f"{CASES}.settled"


def settled(name: str, outcome: float) -> dict[str, Any]:
    event = {"event_id": name, "event_time_ms": CASES_START_MS, "case_id": name, "place": "north"}
    return {**event, "outcome": outcome}


def reasons(faulty: FaultySystem, topic: str, *values: bytes) -> list[str]:
    """Return the reasons of the dead letters with these values."""
    letters = {record.value: record for record in faulty.topic(f"{topic}.dlq")}
    return [(letters[value].header("dlq-reason") or b"").decode() for value in values if value in letters]


def test_values_that_would_spoil_sums_and_losses_become_dead_letters(faulty: FaultySystem) -> None:
    before = faulty.pids()
    shelf = {"uid": "endless", "at_ms": ORDERS_END_MS, "shop": "ash"}
    endless = [json.dumps({**shelf, "shelf_units": value}).encode() for value in ("Infinity", "NaN")]
    half = json.dumps(settled("half", 0.5)).encode()
    faulty.send(SHELVED, *endless, {**shelf, "uid": "finite", "shelf_units": 1.0})
    faulty.send(SETTLED, half, settled("whole", 1.0))
    faulty.assert_stored(ORDERS, SHELVED, ["finite"])
    faulty.assert_stored(CASES, SETTLED, ["whole"])
    assert_eventually(lambda: len(reasons(faulty, SHELVED, *endless)) == len(endless), 60.0)
    assert reasons(faulty, SHELVED, *endless) == ["non-finite", "out-of-range"], "the rule for the least value is first"
    assert reasons(faulty, SETTLED, half) == ["unknown-class"]
    assert faulty.pids() == before
