"""Probes ingestion with one synthetic event per loop. Ingestion checks and answers it, and does not store it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import closing
from functools import partial

from confluent_kafka import KafkaException

from driftloop.bus.kafka_batch import KafkaBatchConsumer, KafkaBatchProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.ports import BatchConsumer, BatchProducer, Outgoing
from driftloop.contracts.ingestion_pb2 import ProbeJudged, TopicPaused
from driftloop.contracts.topics import topic_of
from driftloop.events.event_log import read_events, readable
from driftloop.events.probe import probe_headers
from driftloop.loop import Loop
from driftloop.ops.system.probes import Deadline
from driftloop.ops.system.synthetic_event import synthetic_event
from driftloop.process.errors import DriftloopError
from driftloop.process.home_secrets import read_secret
from driftloop.process.settings import Settings
from driftloop.process.startup_errors import read_refused_loops
from driftloop.readmodel.loop_history import loop_states

_POLL_S = 0.1
_NOT_BY_RULES = ("derive", "non-finite", "unknown-class", "invalid-outcome")


def probe_events(settings: Settings, loops: Sequence[Loop], deadline: Deadline) -> None:
    """Send one probe per loop and wait until ingestion has accepted all of them.

    Skips a loop if ingestion does not read the topic: `driftloop status` says that it is paused.

    Raises:
        LoopDefinitionError: a loop's messages cannot be read.
        DriftloopError: Kafka failed, no answer came in time, or a loop's rules refuse its probe.
    """
    log = settings.home / "logs" / "ingestion.log"
    kafka = KafkaSettings.of(settings)
    try:
        paused = paused_topics(kafka)
        loops = [loop for loop in loops if loop.definition.prediction.source not in paused.get(loop.name, ())]
        answers = KafkaBatchConsumer(kafka, [topic_of(ProbeJudged).name], "up", newest=True)
        with closing(answers), closing(KafkaBatchProducer(kafka)) as producer:
            refused = partial(read_refused_loops, settings.home)
            secret = read_secret(settings.probe_secret)
            unanswered = send_and_wait(answers, producer, loops, secret, deadline, refused)
    except KafkaException as error:
        raise DriftloopError(f"cannot send probes to Kafka: {error}; see {log.with_name('kafka.log')}") from error
    if unanswered:
        raise DriftloopError(f"ingestion did not answer the probe of loop {', '.join(unanswered)}; see {log}")


def paused_topics(kafka: KafkaSettings) -> dict[str, list[str]]:
    """Return the topics that ingestion does not read, by loop."""
    states = loop_states(read_events(kafka, [topic_of(TopicPaused).name]))
    return {state.loop: list(state.paused_topics) for state in states}


def send_and_wait(
    answers: BatchConsumer,
    producer: BatchProducer,
    loops: Iterable[Loop],
    secret: str,
    deadline: Deadline,
    refused: Callable[[], Collection[str]] = tuple,
) -> list[str]:
    """Send the probes and read their answers, from the current position of ``answers`` on.

    Return the loops without an answer when the time is over.

    Raises:
        DriftloopError: a loop's own rules refuse its probe; says why, and where the event is defined.
    """
    waiting = {uuid.uuid4().hex: loop for loop in loops}
    producer.send([probe_record(loop, probe_id, secret) for probe_id, loop in waiting.items()])
    producer.flush()
    while deadline.remaining_s():
        left_out = refused()
        waiting = {probe_id: loop for probe_id, loop in waiting.items() if loop.name not in left_out}
        if not waiting:
            break
        for event in readable(answers.poll(100, _POLL_S)):
            answer: ProbeJudged = event.data
            loop = waiting.get(answer.probe_id)
            if loop is not None and loop.name == answer.loop:
                _check_accepted(loop, answer)
                del waiting[answer.probe_id]
    return [loop.name for loop in waiting.values()]


def probe_record(loop: Loop, probe_id: str, secret: str) -> Outgoing:
    """Return a probe record: a synthetic event of the type that the loop predicts from."""
    event_type = loop.definition.prediction.source
    definition = loop.definition.events[event_type]
    event = synthetic_event(definition, loop.messages[event_type])
    value = event.SerializeToString()
    headers = (("content-type", b"application/protobuf"), *probe_headers(probe_id, value, secret))
    return Outgoing(event_type, value, str(getattr(event, definition.key)).encode(), headers)


def _check_accepted(loop: Loop, answer: ProbeJudged) -> None:
    """Raise if the rules refuse the event.

    A derived column or a label may need a text that no rule states, so it can refuse a synthetic text. The event was
    still checked and answered, which is what the probe tests.
    """
    if not answer.accepted and answer.reason not in _NOT_BY_RULES:
        line = loop.line_of("events", answer.event_type)
        problem = f"loop {loop.name} refuses an event generated from its own rules: {answer.reason}: {answer.detail}"
        raise DriftloopError(f"{line}: {problem}; fix the `rules` of the event")
