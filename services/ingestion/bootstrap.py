"""Wires ingestion to its adapters."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from driftloop.bus.admin import missing_topics, wait_for_topics
from driftloop.bus.kafka_batch import KafkaBatchConsumer, KafkaBatchProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.ports import BatchProducer, PausableConsumer, TopicPartition
from driftloop.contracts.ingestion_pb2 import OutcomesAccepted, RowsAccepted
from driftloop.contracts.topics import topic_of
from driftloop.loop import Loop, load_loops, to_ms
from driftloop.process import log
from driftloop.process.clock import Clock, SystemClock
from driftloop.process.errors import LoopDefinitionError, UndeclaredTopic
from driftloop.process.home_secrets import read_secret
from driftloop.process.object_store import require_conditional_puts
from driftloop.process.settings import Settings
from driftloop.process.startup_errors import write_refused_loops
from driftloop.runner.batch_loop import BatchLoop, LoopOptions
from driftloop.runner.lease import Lease
from driftloop.runner.tables import open_database
from services.ingestion import metrics
from services.ingestion.adapters.delta import DeltaLake
from services.ingestion.adapters.derive import DuckDbDerive, connect
from services.ingestion.adapters.resumes import KafkaResumes
from services.ingestion.adapters.sql import SqlJournal, metadata
from services.ingestion.compile import CompiledLoop, compile_loop, lake_problems
from services.ingestion.config import IngestionSettings
from services.ingestion.domain.arrivals import ArrivalRules, PartitionClock
from services.ingestion.domain.fanout import Partitioner
from services.ingestion.domain.watermarks import LoopClock
from services.ingestion.generations import RenumberedConsumer
from services.ingestion.messages import Messages
from services.ingestion.pipeline import Pipeline
from services.ingestion.ports import Journal, Lake, Resumes
from services.ingestion.reader import IdlePartitions, Reader
from services.ingestion.service import Ingestion, Parts
from services.ingestion.stages import stages_by_event_type

NAME = "ingestion"
_CREATED_S = 60.0
"""Longest wait for the broker, and for new topics."""
_GONE_S = 15.0


@dataclass(frozen=True)
class World:
    """Adapters to the outside."""

    consumer: PausableConsumer
    producer: BatchProducer
    journal: Journal
    lake: Lake
    resumes: Resumes
    clock: Clock
    probe_secret: str


def build(settings: IngestionSettings, stop: threading.Event, lease: Lease) -> BatchLoop:
    """Build the service on Kafka, Delta and SQL.

    Raises:
        LoopDefinitionError: a loop's files are wrong.
        UndeclaredTopic: the broker lacks a topic of every loop, or one that services write.
    """
    kafka = KafkaSettings.of(settings, NAME)
    defined = load_loops(settings.loops_dir, settings.loops)
    journal = SqlJournal(open_database(settings.database_url(NAME), metadata, fence=lease.check))
    absent = absent_topics(kafka, topics(defined), journal)
    loops, compiled = accepted_loops(defined, settings, absent)
    require_conditional_puts(settings.shared)
    clock = SystemClock()
    world = World(
        consumer=KafkaBatchConsumer(kafka, topics(loops), NAME, linger_s=settings.linger_s, absent=absent),
        producer=KafkaBatchProducer(kafka),
        journal=journal,
        lake=DeltaLake(settings.lake),
        resumes=KafkaResumes(kafka),
        clock=clock,
        probe_secret=read_secret(settings.probe_secret),
    )
    return assemble(compiled, world, settings, stop)


def absent_topics(kafka: KafkaSettings, names: Sequence[str], journal: Journal, gone_s: float = _GONE_S) -> list[str]:
    """Return the topics that the broker lacks. Waits for those that `driftloop up` may be creating.

    ``gone_s``: the wait for topics that were read before; they were probably deleted.

    Raises:
        Retriable: the broker did not answer.
    """
    absent = missing_topics(kafka, names, _CREATED_S)
    if not absent:
        return []
    read_before, _ = journal.load()
    try:
        wait_for_topics(kafka, names, gone_s if read_before.topic_ids.keys() >= set(absent) else _CREATED_S)
    except UndeclaredTopic:
        return missing_topics(kafka, names, _CREATED_S)
    return []


def accepted_loops(
    loops: Sequence[Loop], settings: Settings, absent: Collection[str] = ()
) -> tuple[list[Loop], list[CompiledLoop]]:
    """Return the loops that can run. The others are left out, so that these can.

    A loop is left out if its events do not fit their rows in the lake, or if one of its topics is ``absent``.

    Raises:
        LoopDefinitionError: a loop's files are wrong, or no loop fits its rows.
        UndeclaredTopic: no loop is left.
    """
    problems = {}
    compiled = compile_loops(loops)
    for loop, checked in zip(loops, compiled, strict=True):
        found = lake_problems(loop, checked, settings.lake / loop.name / "events")
        found += [
            f"{loop.line_of('events', name)}: the broker has no topic {name}; `driftloop up` creates it"
            for name in loop.definition.events
            if name in absent
        ]
        metrics.LOOP_REFUSED.set(int(bool(found)), loop=loop.name)
        if found:
            problems[loop.name] = found
            log.get(__name__).error("loop-refused", loop=loop.name, problems=found)
    if problems and len(problems) == len(loops):
        listed = [problem for found in problems.values() for problem in found]
        raise UndeclaredTopic("; ".join(listed)) if absent else LoopDefinitionError(listed)
    write_refused_loops(settings.home, NAME, problems)
    left = [(loop, checked) for loop, checked in zip(loops, compiled, strict=True) if loop.name not in problems]
    return [loop for loop, _ in left], [checked for _, checked in left]


def compile_loops(loops: Iterable[Loop]) -> list[CompiledLoop]:
    """Compile all loops, with one connection for their expressions."""
    make_derive = partial(DuckDbDerive, connect())
    return [compile_loop(loop, make_derive) for loop in loops]


def topics(loops: Iterable[Loop]) -> list[str]:
    """Return the loops' raw topics."""
    return sorted({event_type for loop in loops for event_type in loop.definition.events})


def assemble(
    loops: Sequence[CompiledLoop],
    world: World,
    settings: IngestionSettings,
    stop: threading.Event,
    *,
    background_flush: bool = True,
) -> BatchLoop:
    """Build the service on any adapters."""
    messages = [Messages(loop.name, world.clock) for loop in loops]
    pipelines = [_pipeline(loop, sender, world) for loop, sender in zip(loops, messages, strict=True)]
    idle = IdlePartitions(world.consumer.assignment(), _timeouts_s(loops), world.clock)
    consumer = RenumberedConsumer(world.consumer)
    reader = Reader(consumer, world.journal, idle, world.clock, settings.poll_records, world.probe_secret)
    definitions = {(loop.name, topic): digest for loop in loops for topic, digest in loop.digests.items()}
    parts = Parts(
        consumer, world.producer, reader, world.journal, world.lake, pipelines, messages, definitions, world.resumes,
        world.clock,
    )  # fmt: skip
    # the checkpoint counts: the group's offsets only show the lag, so a refused commit waits for the next one
    options = LoopOptions(background_flush, commit_required=False, lag_every_s=settings.lag_every_s)
    return BatchLoop(
        Ingestion(parts, settings), consumer, stop, world.clock,
        options=options, resources=[world.journal, world.resumes], producer=world.producer,
    )  # fmt: skip


def _pipeline(loop: CompiledLoop, messages: Messages, world: World) -> Pipeline:
    partitions = [partition for partition in world.consumer.assignment() if partition.topic in loop.schemas]
    clocks: dict[TopicPartition, PartitionClock] = dict.fromkeys(partitions, PartitionClock())
    rows_to, outcomes_to = (
        Partitioner(world.producer.partitions(topic_of(message).name)) for message in (RowsAccepted, OutcomesAccepted)
    )
    rules = ArrivalRules(to_ms(loop.time.lateness), to_ms(loop.time.max_advance))
    stages = stages_by_event_type(loop.schemas, loop.derives, loop.time, {loop.feeds.label: loop.feeds.outcome})
    return Pipeline(
        loop.name, stages, loop.feeds, LoopClock(clocks, rules), messages, rows_to, outcomes_to, world.probe_secret
    )


def _timeouts_s(loops: Sequence[CompiledLoop]) -> Mapping[str, float]:
    timeouts: dict[str, float] = {}
    for loop in loops:
        for event_type in loop.schemas:
            timeouts[event_type] = max(timeouts.get(event_type, 0.0), loop.time.idle_timeout.total_seconds())
    return timeouts
