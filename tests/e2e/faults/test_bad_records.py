"""A topic of nothing but bad records is paused alone, writes each dead letter once, and continues on request."""

from __future__ import annotations

import os
import signal
from collections import Counter
from typing import Any

import pytest

from tests.e2e.faults.system import ORDERS, ORDERS_END_MS, FaultySystem
from tests.helpers.eventually import assert_eventually

pytestmark = [pytest.mark.e2e, pytest.mark.proof, pytest.mark.timeout(900)]

SHELVED = "shops.shelved"
LIMIT = 1_000
"""Dead letters in a row that a topic may have."""


def paused_topics(faulty: FaultySystem) -> list[str]:
    """Return the paused topics in the output of `driftloop status`, which lists a loop from its first event on."""
    return [topic for loop in faulty.status()["loops"] if loop["loop"] == ORDERS for topic in loop["paused_topics"]]


def dead_letters(faulty: FaultySystem) -> Counter[bytes | None]:
    """Return how often each refused record of the topic has a dead letter."""
    return Counter(record.header("dlq-source") for record in faulty.topic(f"{SHELVED}.dlq"))


def shelved(name: str) -> dict[str, Any]:
    return {"uid": name, "at_ms": ORDERS_END_MS, "shop": "ash", "shelf_units": 1.0, "colour": "not declared"}


def test_a_topic_of_bad_records_is_paused_alone_and_continues_on_request(faulty: FaultySystem) -> None:
    before = dead_letters(faulty)
    faulty.send(SHELVED, *[b"{" for _ in range(3 * LIMIT)])
    assert_eventually(lambda: paused_topics(faulty) == [SHELVED], 120.0)
    faulty.send(SHELVED, shelved("good-after-bad"))
    faulty.assert_goes_on("beside-a-paused-topic")

    written = dead_letters(faulty) - before
    assert LIMIT < len(written) <= 3 * LIMIT
    for pid in faulty.pids()["ingestion"]:
        os.kill(pid, signal.SIGKILL)
    faulty.assert_goes_on("after-the-kill")
    assert paused_topics(faulty) == [SHELVED]
    assert dead_letters(faulty) - before == written, "a start writes no dead letter again"

    resumed = faulty.line.run("resume", ORDERS, "--why", "the producer is fixed")
    assert resumed.returncode == 0, resumed.stderr
    faulty.assert_stored(ORDERS, SHELVED, ["good-after-bad"])  # its unknown field is ignored
    assert paused_topics(faulty) == []
    after = dead_letters(faulty) - before
    assert len(after) == 3 * LIMIT
    assert set(after.values()) == {1}, "each bad record has one dead letter"
