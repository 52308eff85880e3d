"""Access rights to Kafka that each service needs, from the declared producers and consumers of each topic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from driftloop.bus.dead_letters import SUFFIX
from driftloop.contracts.topics import declared
from driftloop.loop.definition import LoopDefinition
from driftloop.loop.topics import DETECTOR_STATES, DETECTORS_GROUP, plan_topics

COMMANDS = "driftloop"
"""Name of the commands, which create topics, send probes and replays, and show states and dead letters."""
_COMMANDS = frozenset({"replay", "up"})
"""Producers and consumers in declarations that are commands."""
_COMMAND_GROUPS = ("demo", "driftloop-up", "history", "replay-", "up")
"""Consumer groups of commands, as prefixes."""

Operation = Literal["AlterConfigs", "Create", "Describe", "Read", "Write"]


@dataclass(frozen=True, slots=True, order=True)
class Acl:
    """Operations that a service may do with a topic or a consumer group."""

    service: str
    resource: Literal["group", "topic"]
    name: str
    pattern: Literal["literal", "prefixed"]
    operations: tuple[Operation, ...]


def list_acls(loops: Iterable[LoopDefinition], prefix: str = "") -> list[Acl]:
    """List what each service needs, by service. Read and Write include Describe.

    ``prefix``: what the names of topics and groups start with at the brokers.

    The producers of raw topics are not ours: they need Write on their topics.
    """
    loops = list(loops)
    rights: dict[tuple[str, str], set[Operation]] = defaultdict(set)
    for service, topic, operation in (*_declared(), *_raw(loops), *_commands(loops)):
        rights[service, topic].add(operation)
    topics = [
        Acl(service, "topic", topic, "literal", tuple(sorted(operations)))
        for (service, topic), operations in rights.items()
    ]
    return sorted(replace(acl, name=prefix + acl.name) for acl in (*topics, *_groups()))


def _declared() -> Iterator[tuple[str, str, Operation]]:
    for name, topic in declared().items():
        for producer in topic.producers:
            yield _principal(producer), name, "Write"
        for consumer in topic.consumers:
            yield _principal(consumer), name, "Read"
            if topic.dead_letters and consumer not in _COMMANDS:
                yield consumer, name + SUFFIX, "Write"
    yield "monitoring", DETECTOR_STATES, "Read"
    yield "monitoring", DETECTOR_STATES, "Write"


def _raw(loops: Iterable[LoopDefinition]) -> Iterator[tuple[str, str, Operation]]:
    for name in {name for loop in loops for name in loop.events}:
        yield "ingestion", name, "Read"
        yield "ingestion", name + SUFFIX, "Write"
        yield COMMANDS, name, "Write"


def _commands(loops: Iterable[LoopDefinition]) -> Iterator[tuple[str, str, Operation]]:
    for plan in plan_topics(loops):
        yield COMMANDS, plan.name, "AlterConfigs"
        yield COMMANDS, plan.name, "Create"
        yield COMMANDS, plan.name, "Read"
        if plan.name.endswith(SUFFIX):
            yield COMMANDS, plan.name, "Write"  # a replay is noted there


def _groups() -> Iterator[Acl]:
    services = {name for topic in declared().values() for name in (*topic.producers, *topic.consumers)} - _COMMANDS
    groups = {(service, service) for service in services} | {("monitoring", DETECTORS_GROUP)}
    for service, group in groups:
        yield Acl(service, "group", group, "prefixed", ("Read",))
        yield Acl(COMMANDS, "group", group, "prefixed", ("Describe",))  # for the lag in `driftloop status`
    for group in _COMMAND_GROUPS:
        yield Acl(COMMANDS, "group", group, "prefixed", ("Read",))


def _principal(name: str) -> str:
    return COMMANDS if name in _COMMANDS else name
