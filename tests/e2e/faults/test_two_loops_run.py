"""The system before any fault: both loops store the events of a plain producer."""

from __future__ import annotations

import pytest

from tests.e2e.faults.system import CASES, ORDERS, ORDERS_END_MS, FaultySystem

pytestmark = [pytest.mark.e2e, pytest.mark.proof, pytest.mark.timeout(600)]


def test_both_loops_store_events(faulty: FaultySystem) -> None:
    shelved = {"uid": "first", "at_ms": ORDERS_END_MS, "shop": "ash", "shelf_units": 1.0}
    faulty.send("shops.shelved", shelved)
    faulty.assert_stored(ORDERS, "shops.shelved", ["first"])
    faulty.assert_goes_on("first", CASES)
