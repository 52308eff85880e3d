"""First, last and committed offsets of partitions.

Uses its own connection. A broker answers the requests of a connection in order. On a consumer's connection, these
requests would wait for the current fetch, which may wait for records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Position
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.ports import TopicPartition
from driftloop.bus.transient import call_with_retry


class Offsets:
    """Reads offsets from a broker. Each method retries for ``timeout_s``, then raises Retriable."""

    def __init__(self, kafka: KafkaSettings, *, timeout_s: float = 30.0) -> None:
        self._kafka = kafka
        self._client = AdminClient(kafka.admin())
        self._timeout_s = timeout_s

    def first(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offset of the oldest record per partition."""
        return self._ask(partitions, OffsetSpec.earliest())

    def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offset after the newest record per partition."""
        return self._ask(partitions, OffsetSpec.latest())

    def committed(self, group: str, partitions: Iterable[TopicPartition] | None = None) -> dict[TopicPartition, int]:
        """Return a group's committed offset per partition, of all partitions by default. Omits those without one."""
        wanted = None if partitions is None else [self._position(tp) for tp in partitions]
        if wanted == []:
            return {}
        request = [ConsumerGroupTopicPartitions(self._kafka.full_name(group), wanted)]

        def answer() -> list[Position]:
            [future] = self._client.list_consumer_group_offsets(request, request_timeout=self._timeout_s).values()
            positions: list[Position] = future.result().topic_partitions
            return positions

        positions = call_with_retry("committed offsets", answer, self._timeout_s)
        return {self._partition(at): at.offset for at in positions if at.offset >= 0}

    def groups(self) -> list[str]:
        """Return the groups of this system."""

        def answer() -> list[str]:
            listed = self._client.list_consumer_groups(request_timeout=self._timeout_s).result()
            names = [group.group_id for group in listed.valid]
            return [self._kafka.declared_name(name) for name in names if name.startswith(self._kafka.prefix)]

        return call_with_retry("groups", answer, self._timeout_s)

    def _ask(self, partitions: Iterable[TopicPartition], which: OffsetSpec) -> dict[TopicPartition, int]:
        request = {self._position(tp): which for tp in partitions}
        if not request:
            return {}

        def answer() -> dict[TopicPartition, int]:
            futures: Mapping[Position, Future[Any]] = self._client.list_offsets(
                request, request_timeout=self._timeout_s
            )
            try:
                return {self._partition(at): int(future.result().offset) for at, future in futures.items()}
            except KafkaException as error:
                if error.args[0].code() == KafkaError.FENCED_LEADER_EPOCH:
                    self._client = AdminClient(self._kafka.admin())  # this one keeps the epoch that it knows
                raise

        return call_with_retry("offsets", answer, self._timeout_s)

    def _position(self, partition: TopicPartition) -> Position:
        return Position(self._kafka.full_name(partition.topic), partition.partition)

    def _partition(self, position: Position) -> TopicPartition:
        return TopicPartition(self._kafka.declared_name(position.topic), position.partition)
