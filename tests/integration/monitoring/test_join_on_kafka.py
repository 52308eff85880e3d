from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftloop.bus.kafka_batch import KafkaBatchProducer
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.events.envelope import Envelope
from driftloop.model.bundle import REFERENCE, Input, Manifest, write_bundle
from tests.helpers.eventually import assert_eventually
from tests.helpers.kafka import Kafka
from tests.integration.monitoring.process import Process
from tests.integration.monitoring.records import Events
from tests.unit.monitoring.harness import JoinerHarness, route
from tests.unit.monitoring.story import story

pytestmark = [pytest.mark.integration, pytest.mark.kafka]

PATIENCE_S = 60.0
DAYS = 5
MANIFEST = Manifest(
    loop="orders",
    run_id="run-1",
    label_kind="binary",
    feature_service="orders_v1",
    numeric=(Input("x", "request", "double"),),
    categorical=(Input("colour", "request", "string"),),
    training={},
)
GRIDS = (
    b'{"format":1,"inputs":{"x":{"edges":[-1.0,1.0],"counts":[20,60,20],"missing":0}},'
    b'"score":{"edges":[0.5],"counts":[50,50],"missing":0}}'
)


@pytest.fixture
def join(tmp_path: Path, loops_dir: Path, own_kafka: Kafka) -> Iterator[Process]:
    process = Process("services.monitoring", tmp_path, loops_dir, own_kafka.settings)
    yield process
    process.end(signal.SIGKILL)


def bodies_by_id(events: list[Envelope[monitoring.WindowClosed]]) -> dict[str, bytes]:
    """Return the bodies by id; a repeat must be equal."""
    bodies: dict[str, bytes] = {}
    for event in events:
        body = event.data.SerializeToString(deterministic=True)
        assert bodies.setdefault(event.id, body) == body
    return bodies


def test_windows_equal_those_in_memory_after_three_kills(join: Process, own_kafka: Kafka, tmp_path: Path) -> None:
    bundle = tmp_path / "bundles" / "run-1"
    digest = write_bundle(bundle, MANIFEST, {REFERENCE: GRIDS})
    records = story(
        days=DAYS, route_to=route("r-1", "r-2", uri=bundle.as_uri(), digest=digest), digest=MANIFEST.input_digest
    )
    harness = JoinerHarness(tmp_path / "memory", digest=MANIFEST.input_digest)
    harness.send(*records)
    harness.run()
    expected = bodies_by_id(harness.windows())
    assert len(expected) == DAYS

    producer = KafkaBatchProducer(own_kafka.settings)
    events = Events(own_kafka.settings, monitoring.WindowClosed)
    part = len(records) // 4

    def closed(wanted: int) -> None:
        assert_eventually(lambda: len(bodies_by_id(events.read())) >= wanted, PATIENCE_S, f"{wanted} windows")

    for at in range(4):
        join.start()
        producer.send(records[at * part : None if at == 3 else (at + 1) * part])
        producer.flush()
        closed(at + 1)
        if at < 3:
            join.end(signal.SIGKILL)
    closed(DAYS)
    assert bodies_by_id(events.read()) == expected
    assert '"ready": true' in join.get("/ready")
    assert "driftloop_monitoring_loss{" in join.get("/metrics")
    assert join.end(signal.SIGTERM) == 0
    events.close()
