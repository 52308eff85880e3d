"""Topics that must exist, and how they differ from those that the brokers have. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

MAX_MESSAGE_BYTES = 8_000_000
RETENTION = frozenset({"retention.ms", "retention.bytes"})
MAX_BYTES = "max.message.bytes"
TIMESTAMP_TYPE = "message.timestamp.type"
MIN_IN_SYNC = "min.insync.replicas"


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """A topic that must exist."""

    name: str
    partitions: int
    retention_ms: int
    max_bytes: int = MAX_MESSAGE_BYTES
    retention_bytes: int = -1
    cleanup: Literal["delete", "compact"] = "delete"
    timestamps: Literal["CreateTime", "LogAppendTime"] = "CreateTime"
    """Source of a record's timestamp, which retention compares with the current time: the producer or the broker."""
    alterable: frozenset[str] = frozenset()
    """Settings that an existing topic gets too, because that is safe."""
    source: str = ""
    """Where its number of partitions is declared, for an error: ``file: key``."""

    def config(self, min_in_sync: int = 1) -> dict[str, str]:
        """Return the topic's settings."""
        return {
            "cleanup.policy": self.cleanup,
            MAX_BYTES: str(self.max_bytes),
            TIMESTAMP_TYPE: self.timestamps,
            MIN_IN_SYNC: str(min_in_sync),
            "retention.bytes": str(self.retention_bytes),
            "retention.ms": str(self.retention_ms),
        }


@dataclass(frozen=True, slots=True)
class ExistingTopic:
    """A topic as the brokers have it."""

    partitions: int
    replication: int
    config: Mapping[str, str]
    """All settings of the topic, the brokers' defaults included."""


@dataclass(frozen=True, slots=True)
class TopicChanges:
    """What to do so that the brokers have the planned topics."""

    missing: tuple[TopicPlan, ...] = ()
    altered: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """New settings of existing topics, by topic."""
    conflicts: tuple[str, ...] = ()
    """A sentence for each setting of an existing topic that differs and is not changed."""

    @property
    def is_empty(self) -> bool:
        return not (self.missing or self.altered or self.conflicts)


def compare_topics(
    plans: Iterable[TopicPlan], existing: Mapping[str, ExistingTopic], *, replication: int = 1, min_in_sync: int = 1
) -> TopicChanges:
    """Compare planned topics with existing ones, which may be more."""
    plans = list(plans)
    present = [(plan, existing[plan.name]) for plan in plans if plan.name in existing]
    altered = {plan.name: _differing(plan, topic, min_in_sync, alterable=True) for plan, topic in present}
    return TopicChanges(
        tuple(plan for plan in plans if plan.name not in existing),
        {name: config for name, config in altered.items() if config},
        tuple(
            sentence for plan, topic in present for sentence in _conflicts(plan, topic, replication, min_in_sync)
        ),
    )  # fmt: skip


def _differing(plan: TopicPlan, topic: ExistingTopic, min_in_sync: int, *, alterable: bool) -> dict[str, str]:
    return {
        name: value
        for name, value in plan.config(min_in_sync).items()
        if topic.config.get(name) != value and (name in plan.alterable) == alterable
    }


def _conflicts(plan: TopicPlan, topic: ExistingTopic, replication: int, min_in_sync: int) -> Iterator[str]:
    if plan.partitions != topic.partitions:
        yield (
            f"{plan.source or plan.name}: partitions is {plan.partitions}, and it has {topic.partitions}; "
            f"a topic keeps its partitions: write {topic.partitions}"
        )
    if replication != topic.replication:
        yield (
            f"the topic {plan.name} has {topic.replication} copies, and DRIFTLOOP_KAFKA_REPLICATION is {replication}; "
            "add copies with kafka-reassign-partitions, or change the setting"
        )
    for name, value in _differing(plan, topic, min_in_sync, alterable=False).items():
        yield (
            f"the topic {plan.name} has {name}={topic.config.get(name, '')}, and {value} is declared; set it with "
            f"kafka-configs --alter --entity-type topics --entity-name {plan.name} --add-config {name}={value}"
        )
