"""Lists the topics that a set of loops needs."""

from __future__ import annotations

from collections.abc import Iterable

from driftloop.bus.admin import TopicPlan
from driftloop.bus.dead_letters import SUFFIX
from driftloop.contracts.topics import declared
from driftloop.loop.definition import LoopDefinition

_RETENTION_MS = {"forever": -1, "7d": 7 * 86_400_000}
DEAD_LETTER_RETENTION_MS = 30 * 86_400_000
"""How long dead letters are kept: long enough to correct the cause and to replay them."""
DEAD_LETTER_BYTES = 2_000_000_000
"""Size of a dead-letter topic above which its oldest records are deleted."""


def plan_topics(loops: Iterable[LoopDefinition]) -> list[TopicPlan]:
    """List every topic the system needs: the declared topics, the loops' raw topics and their dead-letter topics."""
    declarations = declared().values()
    topics = [TopicPlan(topic.name, topic.partitions, _RETENTION_MS[topic.retention]) for topic in declarations]
    raw = {name: event.partitions for loop in loops for name, event in loop.events.items()}
    topics += [TopicPlan(name, partitions, _RETENTION_MS["7d"]) for name, partitions in raw.items()]
    with_dead_letters = [topic.name for topic in declarations if topic.dead_letters] + list(raw)
    return topics + [
        TopicPlan(name + SUFFIX, 1, DEAD_LETTER_RETENTION_MS, retention_bytes=DEAD_LETTER_BYTES, update=True)
        for name in with_dead_letters
    ]
