"""Two Tritons with their agents on one Kafka and in one home; one pair is killed and returns."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from google.protobuf.message import Message

from driftloop.bus.admin import create_topics
from driftloop.bus.kafka_batch import KafkaBatchConsumer, KafkaBatchProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.offsets import Offsets
from driftloop.bus.ports import Outgoing
from driftloop.contracts import features_pb2, ingestion_pb2, monitoring_pb2, predictions_pb2, serving_pb2
from driftloop.contracts.topics import topic_of
from driftloop.events.envelope import Draft, from_draft, to_record
from driftloop.events.event_log import decode, records
from driftloop.events.prediction_writers import CONTROL, PredictionWatermarks
from driftloop.loop.topics import plan_topics
from tests.helpers.eventually import assert_eventually
from tests.helpers.kafka import Kafka
from tests.helpers.triton import TOKEN, Triton
from tests.integration.monitoring.process import Process
from tests.integration.serving.conftest import inputs
from tests.unit.serving.harness import DECLARED, DEPOT, LOOP, T0, VIEW_KEYS, FeastFile, route_changed, write_release

pytestmark = [
    pytest.mark.integration, pytest.mark.triton, pytest.mark.kafka, pytest.mark.proof, pytest.mark.timeout(600),
]  # fmt: skip

DAY_MS = 86_400_000
END = T0 // DAY_MS * DAY_MS + DAY_MS
"""End of the window that contains T0."""
PATIENCE_S = 120.0
PREDICTIONS = topic_of(predictions_pb2.PredictionServed).name


@dataclass
class Pair:
    """A Triton and its agent."""

    triton: Triton
    agent: Process

    def start(self) -> None:
        self.triton.start()
        self.agent.start()

    def kill(self) -> None:
        self.agent.end(signal.SIGKILL)
        self.triton.kill()

    def ready(self) -> bool:
        self.agent.supervised()
        return '"ready": true' in self.agent.get("/ready")

    def ask(self, *keys: str, decision_ms: int) -> None:
        client = self.triton.client()
        for key in keys:
            client.infer(LOOP, inputs([key], decision_ms=decision_ms), request_id=f"id-{key}", client_timeout=60)
        client.close()


class System:
    """Both pairs, monitoring, and what the others would send."""

    def __init__(self, home: Path, brokers: KafkaSettings) -> None:
        loops = home / "loops"
        (loops / LOOP).mkdir(parents=True)
        (loops / LOOP / "loop.yaml").write_text(yaml.safe_dump(DECLARED))
        self._brokers = brokers
        self.producer = KafkaBatchProducer(brokers)
        self.pairs = [self._pair(home, loops, name) for name in ("", "two")]
        self.monitoring = Process("services.monitoring", home, loops, brokers)

    def _pair(self, home: Path, loops: Path, name: str) -> Pair:
        suffix = f"-{name}" if name else ""
        triton = Triton(home / f"triton{suffix}" / "models", home / f"triton{suffix}.log")
        agent = Process("services.serving", home, loops, self._brokers)
        agent.environment = {
            "DRIFTLOOP_TRITON_NAME": name,
            "DRIFTLOOP_TRITONS": "2",
            "DRIFTLOOP_TRITON_GRPC": triton.address,
            "DRIFTLOOP_TRITON_CONTROL_TOKEN": TOKEN,
        }
        return Pair(triton, agent)

    def send(self, *messages: Message) -> None:
        """Write messages to every partition of their topics."""
        for message in messages:
            draft = Draft(f"test-{message!r}", LOOP, T0, message)
            record = to_record(from_draft(draft, source="test", wall_time_ms=0, cause=None, traceparent=None))
            partitions = range(self.producer.partitions(record.topic))
            self.producer.send(
                [Outgoing(record.topic, record.value, record.key, record.headers, part) for part in partitions]
            )
        self.producer.flush()

    def read(self, *kinds: type[Message]) -> list[tuple[int, Message]]:
        """Return partition and message of all records of some kinds in a topic."""
        consumer = KafkaBatchConsumer(self._brokers, [topic_of(kinds[0]).name], "test")
        found = [(record.partition, decode(record).data) for record in records(consumer)]
        consumer.close()
        return [(partition, message) for partition, message in found if isinstance(message, kinds)]

    def watermark_of(self, writer: str) -> int:
        """Return the newest watermark that all partitions of the log have from a writer."""
        newest = dict.fromkeys(range(self.producer.partitions(PREDICTIONS)), 0)
        for partition, message in self.read(predictions_pb2.PredictionWatermark):
            if message.writer == writer:  # type: ignore[attr-defined]
                newest[partition] = message.watermark_ms  # type: ignore[attr-defined]
        return min(newest.values())

    def monitoring_has_read_the_log(self) -> bool:
        offsets = Offsets(self._brokers)
        committed = {tp: at for tp, at in offsets.committed("monitoring").items() if tp.topic == PREDICTIONS}
        return bool(committed) and all(committed[tp] >= end for tp, end in offsets.ends(committed).items())

    def windows(self) -> list[monitoring_pb2.WindowClosed]:
        return [message for _, message in self.read(monitoring_pb2.WindowClosed)]  # type: ignore[misc]

    def end(self) -> None:
        self.monitoring.end(signal.SIGKILL)
        for pair in self.pairs:
            pair.kill()
        self.producer.close()


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[Kafka]:
    with Kafka(tmp_path).running() as server:
        create_topics(server.settings, plan_topics([]), timeout_s=120.0)
        yield server


@pytest.fixture
def system(tmp_path: Path, kafka: Kafka) -> Iterator[System]:
    running = System(tmp_path, kafka.settings)
    try:
        yield running
    finally:
        running.end()


def until(condition: object, say: str) -> None:
    assert_eventually(condition, PATIENCE_S, say)  # type: ignore[arg-type]


def test_windows_wait_for_a_killed_triton_and_have_every_prediction_once(system: System, tmp_path: Path) -> None:
    first, second = system.pairs
    feast = FeastFile(tmp_path / "online" / "online.db")
    feast.put(DEPOT, ("north",), {"count_3600s": 3.0})
    feast.watermark(VIEW_KEYS, T0)
    system.send(
        route_changed(1, write_release(tmp_path, "r-a", 0.0)).data,
        features_pb2.WatermarkAdvanced(loop=LOOP, watermark_ms=T0),
        ingestion_pb2.OutcomeWatermark(loop=LOOP, watermark_ms=T0),
    )
    for part in (first, second, system.monitoring):
        part.start()
    until(lambda: first.ready() and second.ready(), "both agents are ready")
    until(lambda: system.read(serving_pb2.RouteConverged), "the route has converged")
    first.ask(*(f"a{number}" for number in range(20)), decision_ms=T0 + 1)
    second.ask(*(f"b{number}" for number in range(20)), decision_ms=T0 + 1)

    second.agent.end(signal.SIGKILL)
    second.ask(*(f"c{number}" for number in range(20)), decision_ms=T0 + 2)
    second.triton.kill()
    feast.watermark(VIEW_KEYS, END)
    system.send(
        features_pb2.WatermarkAdvanced(loop=LOOP, watermark_ms=END),
        ingestion_pb2.OutcomeWatermark(loop=LOOP, watermark_ms=END),
    )
    until(lambda: system.watermark_of("") == END, "the first agent has written the end of the window")
    until(system.monitoring_has_read_the_log, "monitoring has read it")
    assert system.windows() == []

    second.start()
    until(lambda: system.watermark_of("two") == END, "the second agent has written the end of the window")
    until(system.windows, "the window has closed")
    [window] = system.windows()
    assert (window.end_ms, window.predictions) == (END, 60)
    assert {report.triton for _, report in system.read(serving_pb2.RouteReported)} == {"", "two"}  # type: ignore[attr-defined]
    assert len({message.epoch for _, message in system.read(serving_pb2.RouteConverged)}) == 1  # type: ignore[attr-defined]
    log = PredictionWatermarks(system.producer.partitions(PREDICTIONS))
    for partition, message in system.read(*CONTROL):
        log.apply(partition, message)
    assert {name for writers in log.writers.values() for name in writers.open} == {"", "two"}
