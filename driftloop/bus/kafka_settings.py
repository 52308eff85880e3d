"""The settings of every Kafka client, from one set of values. docs/decisions/0010 says what each client is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_MESSAGE_BYTES = 8_000_000


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Values that the clients share, and the options of each client. ``bootstrap``: `host:port[,host:port]`."""

    bootstrap: str
    session_timeout_s: float = 6.0
    """Time without a heartbeat after which the broker drops a consumer."""
    heartbeat_interval_s: float = 1.5
    fetch_wait_s: float = 0.5
    """Longest wait of the broker for a record."""

    def admin(self) -> dict[str, Any]:
        """Return options of confluent-kafka's admin client. It does not log, because a broker may still be starting."""
        return {"bootstrap.servers": self.bootstrap, "log_level": 0}

    def batch_consumer(self, group: str) -> dict[str, Any]:
        """Return options of confluent-kafka's consumer."""
        return {
            "bootstrap.servers": self.bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": _ms(self.fetch_wait_s),
            "fetch.error.backoff.ms": 50,
            "session.timeout.ms": _ms(self.session_timeout_s),
            "heartbeat.interval.ms": _ms(self.heartbeat_interval_s),
            "allow.auto.create.topics": False,
        }

    def batch_producer(self, linger_ms: int) -> dict[str, Any]:
        """Return options of confluent-kafka's producer.

        It has one request in progress at a time. With more, a broker that is not yet a partition's leader may refuse a
        first batch and accept the second. The first, sent again, then counts as a duplicate, and librdkafka reports
        records as delivered that were never written.
        """
        return {
            "bootstrap.servers": self.bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "max.in.flight": 1,
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 200_000,
            "message.max.bytes": MAX_MESSAGE_BYTES,
            "linger.ms": linger_ms,
        }

    def lifecycle_consumer(self, group: str) -> dict[str, Any]:
        """Return arguments of aiokafka's consumer."""
        return {
            "bootstrap_servers": self.bootstrap,
            "group_id": group,
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "fetch_max_wait_ms": _ms(self.fetch_wait_s),
            "session_timeout_ms": _ms(self.session_timeout_s),
            "heartbeat_interval_ms": _ms(self.heartbeat_interval_s),
            "metadata_max_age_ms": 60_000,
        }

    def lifecycle_producer(self) -> dict[str, Any]:
        """Return arguments of aiokafka's producer."""
        return {
            "bootstrap_servers": self.bootstrap,
            "acks": "all",
            "enable_idempotence": True,
            "max_request_size": MAX_MESSAGE_BYTES,
            "request_timeout_ms": 10_000,
        }

    def faust(self, commit_interval_s: float) -> dict[str, Any]:
        """Return arguments of a Faust app that concern the broker."""
        return {
            "broker": [f"kafka://{address}" for address in self.bootstrap.split(",")],
            "broker_session_timeout": self.session_timeout_s,
            "broker_heartbeat_interval": self.heartbeat_interval_s,
            "broker_commit_interval": commit_interval_s,
            "consumer_auto_offset_reset": "earliest",
            "processing_guarantee": "at_least_once",
        }


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
