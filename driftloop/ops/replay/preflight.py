"""Checks before a replay sends anything: somebody reads the loop's topics, and the span is new to the loop."""

from __future__ import annotations

import threading

from driftloop.bus.admin import missing_topics
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.contracts import features_pb2
from driftloop.contracts.topics import topic_of
from driftloop.events.event_log import read_events
from driftloop.loop import Loop
from driftloop.loop.effects import span_text
from driftloop.ops.system.event_probe import probe_events
from driftloop.ops.system.probes import Deadline
from driftloop.process.errors import ConfigError, DriftloopError
from driftloop.process.settings import Settings
from driftloop.readmodel.event_text import day

_ANSWER_S = 20.0
"""Longest wait for ingestion's answer to a probe. It is milliseconds, unless ingestion restarts."""


def require_reader(settings: Settings, loop: Loop, stop: threading.Event) -> None:
    """Return if ingestion answers a probe of the loop, or once ``stop`` is set.

    Raises:
        ConfigError: a topic of the loop does not exist.
        DriftloopError: no answer came.
    """
    missing = missing_topics(KafkaSettings.of(settings), loop.definition.events)
    if missing:
        raise ConfigError(f"Kafka has no topic {missing[0]}: {_start(loop)}")
    try:
        probe_events(settings, [loop], _Deadline(_ANSWER_S, stop))
    except DriftloopError as error:
        if not stop.is_set():
            raise DriftloopError(f"nobody reads the events of {loop.name}: {error}; {_start(loop)}") from error


def refuse_repetition(settings: Settings, loop: Loop, start_ms: int) -> None:
    """Refuse a replay that starts before the time that the loop has reached.

    Raises:
        ConfigError: the loop's features are complete up to a later time.
    """
    events = read_events(KafkaSettings.of(settings), [topic_of(features_pb2.WatermarkAdvanced).name])
    reached_ms = max((event.data.watermark_ms for event in events if event.loop == loop.name), default=start_ms)
    if reached_ms > start_ms:
        raise ConfigError(repetition(loop, reached_ms))


def repetition(loop: Loop, reached_ms: int) -> str:
    """Return why a replay cannot start before the time that a loop has reached."""
    window = span_text(loop.definition.time.duplicate_window)
    return (
        f"{loop.name} has already reached {day(reached_ms)}: earlier events would be late, and events that it has "
        f"accepted more than {window} (time.duplicate_window) before would count twice. Use --start "
        f"{day(reached_ms).replace(' ', 'T')}, --resume after an interrupted replay, or --again to send them anyway"
    )


def _start(loop: Loop) -> str:
    return f"run `driftloop up`, which starts {loop.name} beside the running loops, then replay"


class _Deadline(Deadline):
    """A deadline that ends early if the command is to stop."""

    def __init__(self, timeout_s: float, stop: threading.Event) -> None:
        super().__init__(timeout_s)
        self._stop = stop

    def remaining_s(self) -> float:
        return 0.0 if self._stop.is_set() else super().remaining_s()
