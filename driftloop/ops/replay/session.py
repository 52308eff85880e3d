"""Connects the two halves of a replay to a running system."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import tritonclient.grpc as triton

from driftloop.bus.kafka_batch import KafkaBatchProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.ports import Outgoing
from driftloop.contracts import replay_pb2
from driftloop.contracts.topics import topic_of
from driftloop.events.envelope import Draft, from_draft, to_record
from driftloop.events.event_log import read_events, read_topics
from driftloop.events.ids import event_id
from driftloop.loop import Loop, to_ms
from driftloop.loop.code import load_module
from driftloop.loop.effects import span_text
from driftloop.ops.replay.caller import Caller
from driftloop.ops.replay.check import check_tables
from driftloop.ops.replay.delay import delay
from driftloop.ops.replay.encode import Events, Wire, events_of
from driftloop.ops.replay.follow import Follower, follow_lifecycle
from driftloop.ops.replay.gate import Gate
from driftloop.ops.replay.permute import permute_outcomes
from driftloop.ops.replay.preflight import refuse_repetition, require_reader
from driftloop.ops.replay.producer import StepProducer
from driftloop.ops.replay.progress import Progress, completed_steps, count_answers, read_progress
from driftloop.process.clock import SystemClock
from driftloop.process.errors import ConfigError, LoopDefinitionError, Retriable
from driftloop.process.settings import Settings
from driftloop.readmodel.event_text import day
from driftloop.readmodel.pending_work import DECIDERS


@dataclass(frozen=True)
class Span:
    """Event time [start, end) in steps, in milliseconds."""

    start_ms: int
    end_ms: int
    step_ms: int


@dataclass(frozen=True)
class Lateness:
    """Which events a replay sends late: each with probability ``share``, ``by_ms`` after its time."""

    share: float = 0.0
    by_ms: int = 0
    seed: int = 0


class ReplaySession:
    """The producer half."""

    def __init__(
        self,
        settings: Settings,
        loop: Loop,
        span: Span,
        *,
        wire: Wire = "protobuf",
        with_caller: bool = True,
        ignored: Sequence[str] = (),
        permute_seed: int | None = None,
        late: Lateness = Lateness(),
        timeout_s: float = 900.0,
        resume: bool = False,
        again: bool = False,
    ) -> None:
        """``resume``: continue where the topics end, after an interrupted replay of the same span.

        ``again``: start even before the time that the loop has reached.
        """
        self._settings, self._loop, self._span, self._wire, self._late = settings, loop, span, wire, late
        self._kafka = KafkaSettings.of(settings)
        self._with_caller, self._permute_seed, self._timeout_s = with_caller, permute_seed, timeout_s
        self._gate, self._resume, self._again = _gate(loop, ignored), resume, again

    def run(self, stop: threading.Event) -> dict[str, Any]:
        """Replay; return what was sent and the duration of the steps in milliseconds.

        Raises:
            ConfigError: the loop has already reached a later time than the start.
            DriftloopError: nobody reads the loop's topics.
        """
        require_reader(self._settings, self._loop, stop)
        if not self._resume and not self._again:
            refuse_repetition(self._settings, self._loop, self._span.start_ms)
        events = self._events()
        follower = follow_lifecycle(self._kafka, "replay-producer", self._gate.process)
        producer = KafkaBatchProducer(self._kafka, linger_ms=50)  # every step is flushed
        follower.start()
        try:
            progress = self._progress(producer, events) if self._resume else Progress()
            span = self._span
            start_ms = progress.start_ms(span.start_ms, span.end_ms, span.step_ms)
            steps = StepProducer(
                producer, events, follower, self._is_done, self._waits_for, self._timeout_s, progress,
                resumed=start_ms > span.start_ms,
            )  # fmt: skip
            reached = steps.run(start_ms, span.end_ms, span.step_ms, stop.is_set)
        finally:
            follower.stop()
            producer.close()
        return {
            "reached_ms": reached,
            "reached": day(reached),
            "sent": {name: stream.count(span.start_ms, reached) for name, stream in events.items()},
            **_summary(steps.durations_ms),
        }

    def _progress(self, producer: KafkaBatchProducer, topics: Collection[str]) -> Progress:
        partitions = {topic: producer.partitions(topic) for topic in topics}
        return read_progress(read_topics(self._kafka, list(topics)), partitions)

    def _events(self) -> dict[str, Events]:
        source = load_module(self._loop.folder, "source")
        tables: dict[str, pa.Table] = source.events(self._span.start_ms, self._span.end_ms)
        if problems := list(check_tables(self._loop, source, tables)):
            raise LoopDefinitionError(problems)
        if self._permute_seed is not None:
            label = self._loop.definition.label
            definition = self._loop.definition.events[label.source]
            tables[label.source] = permute_outcomes(tables[label.source], definition, self._permute_seed)
        definitions = self._loop.definition.events
        streams = {
            name: events_of(name, definitions[name], self._loop.messages[name], table, self._wire)
            for name, table in tables.items()
        }
        late = self._late
        if not late.share:
            return streams
        return {name: delay(stream, late.share, late.by_ms, late.seed) for name, stream in streams.items()}

    def _is_done(self, watermark_ms: int) -> bool:
        return self._gate.asked_ms >= watermark_ms if self._with_caller else self._gate.at_rest(watermark_ms)

    def _waits_for(self, watermark_ms: int) -> list[str]:
        return self._gate.waits_for(watermark_ms) or ["the step's predictions were not requested; run `driftloop call`"]


class CallSession:
    """The client half."""

    def __init__(
        self, settings: Settings, loop: Loop, span: Span,
        *, ignored: Sequence[str] = (), timeout_s: float = 900.0, resume: bool = False,
    ) -> None:  # fmt: skip
        """``resume``: continue after the last step with requests, in an interrupted replay of the same span.

        Raises:
            ConfigError: the loop takes no decision time from a request, so it cannot predict for the past.
        """
        if loop.definition.prediction.clock != "request":
            path = loop.folder / "loop.yaml"
            raise ConfigError(
                f"{loop.name} predicts for the current time; set `clock: request` in {path} to predict for the past"
            )
        self._settings, self._loop, self._span, self._timeout_s = settings, loop, span, timeout_s
        self._kafka = KafkaSettings.of(settings)
        self._gate, self._resume = _gate(loop, ignored), resume
        self._clock = SystemClock()

    def run(self, stop: threading.Event) -> dict[str, Any]:
        """Request the predictions of every step; return counts."""
        requests = self._requests()
        follower = follow_lifecycle(self._kafka, "replay-caller", self._gate.process)
        producer = KafkaBatchProducer(self._kafka, linger_ms=50)  # every step is flushed
        client = triton.InferenceServerClient(self._settings.triton_grpc)
        caller = Caller(client, self._loop.name, self._loop.definition.prediction)
        completed = self._completed()
        steps = completed if self._resume else {}
        follower.start()
        try:
            for at in steps_to_request(self._span, completed, resume=self._resume):
                if not self._wait(follower, at, stop):
                    break
                answered, failed = self._request_predictions(caller, requests, at)
                steps[at] = replay_pb2.StepAsked(loop=self._loop.name, watermark_ms=at, asked=answered, failed=failed)
                producer.send([self._record(steps[at])])
                producer.flush()
        finally:
            follower.stop()
            producer.close()
            client.close()
        return count_answers(steps.values())

    def _completed(self) -> dict[int, replay_pb2.StepAsked]:
        return completed_steps(read_events(self._kafka, [topic_of(replay_pb2.StepAsked).name]), self._loop.name)

    def _requests(self) -> pa.Table:
        source = load_module(self._loop.folder, "source")
        requests_module = load_module(self._loop.folder, "requests")
        requests: pa.Table = requests_module.requests(source.events(self._span.start_ms, self._span.end_ms))
        return requests

    def _wait(self, follower: Follower, at_ms: int, stop: threading.Event) -> bool:
        waited = 0.0
        while not follower.wait_for(lambda: stop.is_set() or self._gate.at_rest(at_ms), 1.0):
            waited += 1.0
            if waited >= self._timeout_s:
                limit, missing = span_text(timedelta(seconds=self._timeout_s)), "; ".join(self._gate.waits_for(at_ms))
                raise Retriable(f"{self._loop.name} was not at rest at {day(at_ms)} within {limit}: {missing}")
        return not stop.is_set()

    def _request_predictions(self, caller: Caller, requests: pa.Table, at_ms: int) -> tuple[int, int]:
        if not caller.ready():
            return 0, 0
        times = requests.column("decision_time_ms")
        chosen = requests.filter(pc.and_(pc.greater_equal(times, at_ms), pc.less(times, at_ms + self._span.step_ms)))
        return caller.request_predictions(chosen, f"{self._loop.name}-{at_ms}")

    def _record(self, step: replay_pb2.StepAsked) -> Outgoing:
        loop, at_ms = step.loop, step.watermark_ms
        draft = Draft(event_id("step-asked", loop, at_ms), loop, at_ms, step)
        event = from_draft(draft, source="replay", wall_time_ms=self._clock.now_ms(), cause=None, traceparent=None)
        return to_record(event)


def steps_to_request(span: Span, completed: Mapping[int, replay_pb2.StepAsked], *, resume: bool) -> range:
    """Return the watermarks at which a caller requests a step's predictions.

    The last one is the end of the span: its predictions are those of the next span's first step, so that one skips it.
    """
    if resume:
        first_ms = max(completed, default=span.start_ms - span.step_ms) + span.step_ms
    else:
        before = completed.get(span.start_ms)
        requested = before is not None and before.asked + before.failed > 0
        first_ms = span.start_ms + span.step_ms * requested
    return range(first_ms, span.end_ms + 1, span.step_ms)


def _gate(loop: Loop, ignored: Sequence[str]) -> Gate:
    deciders = tuple(decider for decider in DECIDERS if decider not in ignored)
    return Gate(loop.name, to_ms(loop.definition.monitoring.block), deciders)


def _summary(durations_ms: list[float]) -> dict[str, Any]:
    if len(durations_ms) < 2:
        return {"steps": len(durations_ms), "durations_ms": durations_ms}
    cuts = statistics.quantiles(durations_ms, n=100)
    return {"steps": len(durations_ms), "step_ms_p50": cuts[49], "step_ms_p99": cuts[98], "durations_ms": durations_ms}
