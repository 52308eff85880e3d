"""Gaps, wrong times and a raw topic that is created again: nothing is lost, and the other loop goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from driftloop.bus.admin import create_topics
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.loop.topics import plan_topics
from tests.e2e.faults.system import ORDERS, ORDERS_END_MS, FaultySystem
from tests.e2e.two_loops.harness import up
from tests.helpers.eventually import assert_eventually

pytestmark = [pytest.mark.e2e, pytest.mark.proof, pytest.mark.timeout(900)]

SHELVED, INSPECTED = "shops.shelved", "orders.inspected"
HOUR_MS = 3_600_000
MAX_ADVANCE_H = 72
"""`time.max_advance` of orders. After a gap, one event for each must confirm the time of the others."""


def shelved(name: str, hours: float) -> dict[str, Any]:
    return {"uid": name, "at_ms": ORDERS_END_MS + round(hours * HOUR_MS), "shop": "ash", "shelf_units": 1.0}


def test_a_stream_with_a_gap_of_a_week_is_stored_whole_and_stops_nothing(faulty: FaultySystem) -> None:
    pids = faulty.pids()["ingestion"]
    events = [shelved(f"gap-{number}", number / 10 + (168 if number > 100 else 0)) for number in range(1_500)]
    faulty.send(SHELVED, *events)
    faulty.assert_stored(ORDERS, SHELVED, [event["uid"] for event in events])
    assert faulty.pids()["ingestion"] == pids
    faulty.assert_goes_on("after-the-gap")


def conditions(faulty: FaultySystem, kind: str) -> list[str]:
    """Return the subjects of the conditions of a kind in the output of `driftloop status`."""
    return [found["subject"] for found in faulty.status()["conditions"] if found["kind"] == kind]


def test_a_far_watermark_makes_no_later_event_late(faulty: FaultySystem) -> None:
    producer = Producer({"bootstrap.servers": faulty.settings.kafka_bootstrap})
    producer.produce(SHELVED, b"", "far", headers={"driftloop-watermark": b"250000000000000"})
    assert producer.flush(60.0) == 0
    faulty.send(SHELVED, shelved("after-far", 500), key="far")
    faulty.assert_stored(ORDERS, SHELVED, ["after-far"])
    [row] = [row for row in faulty.rows(ORDERS, SHELVED) if row["event_id"] == "after-far"]
    assert row["arrival_watermark_ms"] < row["event_time_ms"]


def test_a_topic_that_is_created_again_is_read_from_its_beginning(faulty: FaultySystem) -> None:
    kafka = KafkaSettings.of(faulty.settings)
    outcome = {"at_ms": ORDERS_END_MS, "order_ref": "o-1", "shop": "ash", "returned": 1}
    faulty.send(INSPECTED, *[{**outcome, "uid": f"old-{number}"} for number in range(20)])
    faulty.assert_stored(ORDERS, INSPECTED, [f"old-{number}" for number in range(20)])
    admin = AdminClient(kafka.admin())
    [deleted] = admin.delete_topics([INSPECTED]).values()
    deleted.result()
    plans = plan_topics([faulty.loops[ORDERS].definition])
    assert_eventually(lambda: create_topics(kafka, plans) == [INSPECTED], 60.0)
    faulty.send(INSPECTED, *[{**outcome, "uid": f"new-{number}"} for number in range(80)])
    faulty.assert_stored(ORDERS, INSPECTED, [f"new-{number}" for number in range(80)], 300.0)
    assert conditions(faulty, "topic-created-again") == [INSPECTED]
    faulty.assert_goes_on("after-the-new-topic")


def test_a_topic_that_is_deleted_leaves_only_its_loop_out_until_it_exists_again(faulty: FaultySystem) -> None:
    admin = AdminClient({"bootstrap.servers": faulty.settings.kafka_bootstrap})
    [deleted] = admin.delete_topics([INSPECTED]).values()
    deleted.result()
    [problem] = assert_eventually(lambda: faulty.status()["refused_loops"].get(ORDERS), 120.0)
    assert problem.endswith(f"the broker has no topic {INSPECTED}; `driftloop up` creates it")
    faulty.assert_goes_on("beside-a-deleted-topic")
    faulty.send(SHELVED, shelved("while-a-topic-is-gone", 0))

    up(faulty.line)
    outcome = {"uid": "in-the-new-topic", "at_ms": ORDERS_END_MS, "order_ref": "o-2", "shop": "ash", "returned": 1}
    faulty.send(INSPECTED, outcome)
    faulty.assert_stored(ORDERS, INSPECTED, ["in-the-new-topic"], 300.0)
    faulty.assert_stored(ORDERS, SHELVED, ["while-a-topic-is-gone"])
    assert faulty.status()["refused_loops"] == {}


def test_an_event_far_ahead_is_shown_until_other_events_confirm_its_time(faulty: FaultySystem) -> None:
    faulty.send(SHELVED, shelved("right", 0), shelved("far-ahead", 2_000), key="far-events")
    faulty.assert_stored(ORDERS, SHELVED, ["right", "far-ahead"])
    assert_eventually(lambda: SHELVED in conditions(faulty, "events-far-ahead"), 60.0)
    assert "does not follow its newest events" in " ".join(faulty.line.run("status").stdout.split())
    confirming = [shelved(f"confirmed-{number}", 2_000 + number) for number in range(2_000 // MAX_ADVANCE_H)]
    faulty.send(SHELVED, *confirming, key="far-events")
    assert_eventually(lambda: SHELVED not in conditions(faulty, "events-far-ahead"), 60.0)


def test_a_producer_that_stops_to_send_watermarks_is_read_on_once_somebody_hands_back(faulty: FaultySystem) -> None:
    hours = 2_500
    producer = Producer({"bootstrap.servers": faulty.settings.kafka_bootstrap})
    mark = str(ORDERS_END_MS + hours * HOUR_MS).encode()
    producer.produce(SHELVED, b"", "handed", headers={"driftloop-watermark": mark})
    assert producer.flush(60.0) == 0
    faulty.send(SHELVED, shelved("refused", hours + 100), key="handed")
    refused = json.dumps(shelved("refused", hours + 100)).encode()
    assert_eventually(lambda: refused in [record.value for record in faulty.topic(f"{SHELVED}.dlq")], 60.0)

    why = ("--topic", SHELVED, "--why", "it stopped", "--json")
    handed = faulty.line.run("watermark", ORDERS, "--derive", *why)
    assert handed.returncode == 0, handed.stderr
    assert json.loads(handed.stdout)["partitions"][SHELVED] > 0
    names = [f"derived-{number}" for number in range(6)]
    faulty.send(SHELVED, *[shelved(name, hours + 100) for name in names], key="handed")
    faulty.assert_stored(ORDERS, SHELVED, names)
