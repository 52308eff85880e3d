"""A test event for each loop, which passes ingestion's door and enters nothing."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from contextlib import closing

from confluent_kafka import KafkaException

from driftloop.bus.kafka_batch import KafkaBatchConsumer, KafkaBatchProducer
from driftloop.bus.ports import BatchConsumer, BatchProducer, Outgoing
from driftloop.contracts.ingestion_pb2 import ProbeJudged
from driftloop.contracts.topics import topic_of
from driftloop.events.event_log import decode
from driftloop.events.probe import PROBE, PROBE_ID, PURPOSE
from driftloop.loop import Loop
from driftloop.ops.system.probes import Patience
from driftloop.ops.system.synthetic_event import synthetic_event
from driftloop.process.errors import DriftloopError
from driftloop.process.settings import Settings

_POLL_S = 0.1
_NOT_BY_RULES = ("derive", "unknown-class")


def probe_events(settings: Settings, loops: Sequence[Loop], patience: Patience) -> None:
    """Send each loop's test event, and wait until ingestion has accepted all of them.

    Raises:
        LoopDefinitionError: a loop's messages cannot be read.
        DriftloopError: as `ask` does, or Kafka refused something.
    """
    log = settings.home / "logs" / "ingestion.log"
    try:
        answers = KafkaBatchConsumer(settings.kafka_bootstrap, [topic_of(ProbeJudged).name], "up", newest=True)
        with closing(answers), closing(KafkaBatchProducer(settings.kafka_bootstrap)) as producer:
            left = ask(answers, producer, loops, patience)
    except KafkaException as error:
        raise DriftloopError(f"Kafka took no test event: {error}; see {log.with_name('kafka.log')}") from error
    if left:
        raise DriftloopError(f"ingestion did not answer the test event of {', '.join(left)}; see {log}")


def ask(answers: BatchConsumer, producer: BatchProducer, loops: Iterable[Loop], patience: Patience) -> list[str]:
    """Send the test events and take the answers, which come after where ``answers`` stands.

    Returns the loops without an answer when patience is over.

    Raises:
        DriftloopError: a loop's own rules refuse its test event; says why, and where the event is defined.
    """
    waiting = {uuid.uuid4().hex: loop for loop in loops}
    producer.send([record_of(loop, name) for name, loop in waiting.items()])
    producer.flush()
    while waiting and patience.left_s():
        for record in answers.poll(100, _POLL_S):
            answer: ProbeJudged = decode(record).data
            loop = waiting.get(answer.probe_id)
            if loop is not None and loop.name == answer.loop:
                _accepted(loop, answer)
                del waiting[answer.probe_id]
    return [loop.name for loop in waiting.values()]


def record_of(loop: Loop, name: str) -> Outgoing:
    """The record of a synthetic_event of what the loop predicts from, to be answered under this name."""
    event_type = loop.definition.prediction.source
    event = loop.definition.events[event_type]
    made = synthetic_event(event, loop.messages[event_type])
    headers = (
        ("content-type", b"application/protobuf"),
        (PURPOSE, PROBE.encode()),
        (PROBE_ID, name.encode()),
    )
    return Outgoing(event_type, made.SerializeToString(), str(getattr(made, event.key)).encode(), headers)


def _accepted(loop: Loop, answer: ProbeJudged) -> None:
    """An expression or a label may want a text that no rule says about: the door judged the one made up nonetheless."""
    if not answer.accepted and answer.reason not in _NOT_BY_RULES:
        place = loop.line_of("events", answer.event_type)
        what = f"loop {loop.name} refuses a test event made by its rules: {answer.reason}: {answer.detail}"
        raise DriftloopError(f"{place}: {what}; mend `rules` of the event")
