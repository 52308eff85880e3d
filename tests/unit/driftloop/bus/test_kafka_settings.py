from __future__ import annotations

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from driftloop.bus.kafka_settings import KafkaSettings

SETTINGS = KafkaSettings("127.0.0.1:1,127.0.0.1:2", session_timeout_s=7.0, heartbeat_interval_s=2.5)


def test_every_client_gets_the_same_session() -> None:
    batch, lifecycle, faust = SETTINGS.batch_consumer("g"), SETTINGS.lifecycle_consumer("g"), SETTINGS.faust(0.25)
    assert batch["session.timeout.ms"] == lifecycle["session_timeout_ms"] == 7_000
    assert batch["heartbeat.interval.ms"] == lifecycle["heartbeat_interval_ms"] == 2_500
    assert (faust["broker_session_timeout"], faust["broker_heartbeat_interval"]) == (7.0, 2.5)
    assert batch["fetch.wait.max.ms"] == lifecycle["fetch_max_wait_ms"] == 500


def test_both_producers_wait_for_all_replicas_and_accept_the_same_size() -> None:
    batch, lifecycle = SETTINGS.batch_producer(1), SETTINGS.lifecycle_producer()
    assert (batch["acks"], batch["enable.idempotence"]) == (lifecycle["acks"], lifecycle["enable_idempotence"])
    assert batch["message.max.bytes"] == lifecycle["max_request_size"] == 8_000_000


def test_faust_lists_the_brokers_as_addresses() -> None:
    assert SETTINGS.faust(0.25)["broker"] == ["kafka://127.0.0.1:1", "kafka://127.0.0.1:2"]


async def test_the_clients_accept_their_options() -> None:
    quiet = {"log_level": 0}
    Consumer({**SETTINGS.batch_consumer("g"), **quiet}).close()
    Producer({**SETTINGS.batch_producer(1), **quiet}).close()
    AdminClient(SETTINGS.admin())
    AIOKafkaConsumer(**SETTINGS.lifecycle_consumer("g"))
    AIOKafkaProducer(**SETTINGS.lifecycle_producer())
