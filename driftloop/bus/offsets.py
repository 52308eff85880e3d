"""Where partitions begin and end, and what groups have committed.

Asked on a connection of its own: a broker answers the requests of a connection in turn, so one that a consumer reads
from answers such a question only after the read that is under way, which may wait for records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka import TopicPartition as Position
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from driftloop.bus.ports import TopicPartition
from driftloop.bus.transient import call_with_retry


class Offsets:
    """A broker's answers. Each method raises Retriable where none comes; it asks again until ``timeout_s`` is over."""

    def __init__(self, bootstrap: str, *, timeout_s: float = 30.0) -> None:
        self._client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        self._timeout_s = timeout_s

    def first(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Offset of the oldest record of each partition."""
        return self._ask(places, OffsetSpec.earliest())

    def ends(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Offset after the newest record of each partition."""
        return self._ask(places, OffsetSpec.latest())

    def committed(self, group: str, places: Iterable[TopicPartition] | None = None) -> dict[TopicPartition, int]:
        """The next offset that a group reads of each partition, or of all; those where it has none are left out."""
        wanted = None if places is None else [Position(place.topic, place.partition) for place in places]
        if wanted == []:
            return {}
        asked = [ConsumerGroupTopicPartitions(group, wanted)]

        def answer() -> list[Position]:
            [future] = self._client.list_consumer_group_offsets(asked, request_timeout=self._timeout_s).values()
            found: list[Position] = future.result().topic_partitions
            return found

        found = call_with_retry("committed offsets", answer, self._timeout_s)
        return {TopicPartition(each.topic, each.partition): each.offset for each in found if each.offset >= 0}

    def groups(self) -> list[str]:
        """Names of the groups that the broker knows."""

        def answer() -> list[str]:
            listed = self._client.list_consumer_groups(request_timeout=self._timeout_s).result()
            return [each.group_id for each in listed.valid]

        return call_with_retry("groups", answer, self._timeout_s)

    def _ask(self, places: Iterable[TopicPartition], which: OffsetSpec) -> dict[TopicPartition, int]:
        asked = {Position(place.topic, place.partition): which for place in places}
        if not asked:
            return {}

        def answer() -> dict[TopicPartition, int]:
            futures: Mapping[Position, Future[Any]] = self._client.list_offsets(asked, request_timeout=self._timeout_s)
            return {TopicPartition(at.topic, at.partition): int(f.result().offset) for at, f in futures.items()}

        return call_with_retry("offsets", answer, self._timeout_s)
