"""A producer that sends no watermarks on a real Kafka: a sparse topic, a gap, a restart that repeats, a wrong time."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from driftloop.featurestore.lake import LakeTable
from driftloop.loop import Loop
from tests.helpers.eventually import assert_eventually
from tests.helpers.kafka import Kafka
from tests.integration.ingestion.process import Service, flushed_to
from tests.unit.ingestion.fixtures import PAID, PLACED, paid, placed, write_loop

pytestmark = [pytest.mark.integration, pytest.mark.kafka, pytest.mark.timeout(300)]

LOOP = "plain"
HOURS = [*range(24), *range(24 + 62, 24 + 62 + 24)]
"""Two days with a weekend between them, longer than `max_advance`."""


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    return write_loop(tmp_path / "loops", LOOP, f"{LOOP}.", replace=("idle_timeout: 30s", "idle_timeout: 2s"))


def send(kafka: Kafka, topic: str, events: Iterable[Mapping[str, Any]]) -> None:
    """Send events as any program does: JSON, keyed, without headers."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for event in events:
        producer.produce(f"{LOOP}.{topic}", json.dumps(event), str(event["order_id"]))
    assert producer.flush(30.0) == 0


def orders(hours: Iterable[int]) -> list[dict[str, Any]]:
    return [placed(f"{hour}-{n}", hour + n / 10, order_id=10 * hour + n) for hour in hours for n in range(10)]


def ids(service: Service, event_type: str, column: str) -> list[str]:
    table = LakeTable(service.home / "lake" / LOOP / "events" / f"{LOOP}.{event_type}")
    return sorted(table.read().column(column).to_pylist()) if table.exists() else []


def test_every_event_around_a_gap_is_stored_once_and_watermarks_advance(service: Service, kafka: Kafka) -> None:
    service.start()
    outcomes = [paid(f"{hour}", hour + 0.5, order_id=str(hour)) for hour in HOURS if hour % 8 == 0]
    send(kafka, PLACED, [placed("in seconds", placed_ms=1_440_000_000, order_id=0), *orders(HOURS[:24])])
    send(kafka, PAID, outcomes[:3])
    assert_eventually(lambda: flushed_to(kafka.settings, LOOP, 16), 60)
    send(kafka, PLACED, orders(HOURS[24:30]))
    send(kafka, PLACED, orders(HOURS[26:36]))
    service.end(signal.SIGKILL)
    send(kafka, PLACED, orders(HOURS[30:]))
    send(kafka, PAID, outcomes[3:])
    service.start()
    assert_eventually(lambda: flushed_to(kafka.settings, LOOP, HOURS[-1] - 8), 60)
    expected = sorted(["in seconds", *(event["uid"] for event in orders(HOURS))])
    assert_eventually(lambda: ids(service, PLACED, "uid") == expected, 60)
    assert ids(service, PAID, "event_id") == sorted(event["event_id"] for event in outcomes)
    assert "driftloop_ingestion_rejected" not in service.get("metrics")
