"""Lists the topics that a set of loops needs."""

from __future__ import annotations

from collections.abc import Iterable

from driftloop.bus.dead_letters import SUFFIX
from driftloop.bus.topic_plan import MAX_BYTES, RETENTION, TIMESTAMP_TYPE, TopicPlan
from driftloop.contracts.topics import declared
from driftloop.loop.definition import LoopDefinition

_RETENTION_MS = {"forever": -1, "7d": 7 * 86_400_000}
DEAD_LETTER_RETENTION_MS = 30 * 86_400_000
"""How long dead letters are kept: long enough to correct the cause and to replay them."""
DEAD_LETTER_BYTES = 2_000_000_000
"""Size of a dead-letter topic above which its oldest records are deleted."""
RAW_BATCH_BYTES = 1_048_588
"""Largest batch of a raw topic, as compressed, unless a loop accepts larger records. It is Kafka's default.

The larger a batch is, the more memory it can need once decompressed."""
_RECORD_OVERHEAD = 65_536
DETECTORS_GROUP = "driftloop-detectors"
"""Consumer group of the detectors, and the name of their Faust app."""
DETECTORS_TABLE = "episodes"
DETECTOR_STATES = f"{DETECTORS_GROUP}-{DETECTORS_TABLE}-changelog"
"""Changelog topic of the detectors' table, named as Faust does."""

_DETECTOR_STATES = TopicPlan(DETECTOR_STATES, 1, -1, cleanup="compact", alterable=RETENTION | {MAX_BYTES})
"""An earlier version let Faust create it, with the brokers' defaults."""


def plan_topics(loops: Iterable[LoopDefinition]) -> list[TopicPlan]:
    """List every topic the system needs: the declared topics, the loops' raw topics, and their dead-letter topics.

    The broker sets the timestamps of raw records: with those of a producer, which may be of the past, retention would
    delete fresh records. Nothing reads the timestamps of Kafka; event time is in the record's value.
    """
    topics = [
        TopicPlan(name, topic.partitions, _RETENTION_MS[topic.retention], source=f"protos/topics/{name}.yaml")
        for name, topic in declared().items()
    ]
    raw = {
        name: TopicPlan(
            name, event.partitions, _RETENTION_MS["7d"], timestamps="LogAppendTime",
            max_bytes=max(RAW_BATCH_BYTES, loop.time.max_record_bytes + _RECORD_OVERHEAD),
            alterable=frozenset({TIMESTAMP_TYPE, MAX_BYTES}), source=f"loops/{loop.loop}/loop.yaml: events.{name}",
        )
        for loop in loops
        for name, event in loop.events.items()
    }  # fmt: skip
    with_dead_letters = [topic.name for topic in declared().values() if topic.dead_letters] + list(raw)
    dead_letters = [
        TopicPlan(name + SUFFIX, 1, DEAD_LETTER_RETENTION_MS, retention_bytes=DEAD_LETTER_BYTES, alterable=RETENTION)
        for name in with_dead_letters
    ]
    return [*topics, *raw.values(), *dead_letters, _DETECTOR_STATES]
