"""Notices topics that were deleted, created or created again, and topics that got more partitions.

Kafka gives each topic an id. A topic that is created again has the same name and another id, and its offsets begin at
0.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.ports import TopicPartition
from driftloop.bus.transient import call_with_retry
from driftloop.process.errors import Retriable, TopicChanged

CHECK_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as the broker has it now."""

    id: str
    partitions: int


def describe_topics(
    kafka: KafkaSettings, client: AdminClient, names: Collection[str], timeout_s: float = 30.0
) -> dict[str, TopicState]:
    """Return the state of each topic that the broker has.

    Raises:
        Retriable: the broker did not answer.
    """

    def answer() -> dict[str, TopicState]:
        futures = client.describe_topics(
            TopicCollection([kafka.full_name(name) for name in names]), request_timeout=timeout_s
        )
        states = {}
        for name, future in futures.items():
            try:
                topic = future.result()
            except KafkaException as error:
                if error.args[0].name() != "UNKNOWN_TOPIC_OR_PART":
                    raise
                continue
            most, least = topic.topic_id.get_most_significant_bits(), topic.topic_id.get_least_significant_bits()
            identity = f"{most & _BITS:016x}{least & _BITS:016x}"
            states[kafka.declared_name(name)] = TopicState(identity, len(topic.partitions))
        return states

    return call_with_retry("topics", answer, timeout_s)


_BITS = 2**64 - 1


class TopicWatch:
    """Compares topics with what they were when a consumer was made.

    ``absent``: topics that the broker lacked then; `describe` includes them.
    """

    def __init__(
        self,
        describe: Callable[[], Mapping[str, TopicState]],
        clock_s: Callable[[], float] = time.monotonic,
        absent: Collection[str] = (),
    ) -> None:
        self._describe = describe
        self._clock_s = clock_s
        self._absent = absent
        self._checked_s = clock_s()
        self._known = {name: state for name, state in describe().items() if name not in absent}

    def ids(self) -> dict[str, str]:
        """Return the id of each topic."""
        return {name: state.id for name, state in self._known.items()}

    def check(self) -> None:
        """Compare the topics every few seconds; a broker that does not answer is asked again later.

        Raises:
            TopicChanged: a topic is another one now, has more partitions, or exists now.
        """
        if self._clock_s() - self._checked_s < CHECK_EVERY_S:
            return
        self._checked_s = self._clock_s()
        try:
            now = self._describe()
        except (Retriable, KafkaException):
            return
        for name in self._absent:
            if name in now:
                raise TopicChanged(f"the broker has the topic {name} now; the process restarts and reads it")
        for name, before in self._known.items():
            _compare(name, before, now.get(name))


def _compare(name: str, before: TopicState, now: TopicState | None) -> None:
    if now is None:
        raise TopicChanged(f"the broker no longer has the topic {name}; `driftloop up` creates it")
    if now.id != before.id:
        raise TopicChanged(f"the topic {name} was created again; the process restarts and reads the new one")
    if now.partitions > before.partitions:
        count = f"{now.partitions} partitions now, and {before.partitions} are read"
        raise TopicChanged(f"the topic {name} has {count}; the process restarts and reads all")


def created_again(
    stored_ids: Mapping[str, str],
    ids: Mapping[str, str],
    positions: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
) -> frozenset[str]:
    """Return the topics that are not those of the stored positions.

    Without a stored id, a position after the end of its partition tells.
    """
    changed = {name for name, old in stored_ids.items() if name in ids and ids[name] != old}
    beyond = {tp.topic for tp, offset in positions.items() if tp in ends and offset > ends[tp]}
    return frozenset(changed | (beyond - {name for name in stored_ids if name in ids}))
