"""A topic of nothing but bad records is paused alone, writes each dead letter once, and continues on request."""

from __future__ import annotations

import os
import signal
from collections import Counter
from typing import Any

import pytest
from confluent_kafka import Producer

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


def send_zstd(faulty: FaultySystem, topic: str, value: bytes, key: str = "fault") -> None:
    """Send a record as one compressed batch."""
    options = {"compression.type": "zstd", "message.max.bytes": 1_000_000_000}
    producer = Producer({"bootstrap.servers": faulty.settings.kafka_bootstrap, **options})
    producer.produce(topic, value, key)
    assert producer.flush(60.0) == 0


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


def test_a_small_batch_that_is_large_once_decompressed_is_a_dead_letter_and_ends_no_process(
    faulty: FaultySystem,
) -> None:
    pids, before = faulty.pids(), dead_letters(faulty)
    send_zstd(faulty, SHELVED, bytes(105_000_000))
    send_zstd(faulty, "control.retrain.v1", bytes(105_000_000))
    faulty.send(SHELVED, shelved("good-after-large"))
    faulty.assert_stored(ORDERS, SHELVED, ["good-after-large"])
    assert len(dead_letters(faulty) - before) == 1
    faulty.assert_goes_on("after-a-large-batch")
    consumers = {"training", "ingestion", "control"}
    assert_eventually(
        lambda: (
            consumers - {"ingestion"}
            <= {
                (letter.header("dlq-consumer") or b"").decode()
                for letter in faulty.topic("control.retrain.v1.dlq")
                if letter.header("dlq-reason") == b"unreadable-batch"
            }
        ),
        60.0,
    )
    assert {name: faulty.pids()[name] for name in consumers} == {name: pids[name] for name in consumers}
