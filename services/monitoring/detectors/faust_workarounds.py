"""Every work-around for faults of Faust (faust-streaming 0.15.3). Each docstring says why it exists.

The common reason for ending the process: Faust acknowledges a record when its agent raises, and it can hang while it
stops. A process that ends at once acknowledges nothing, and the supervisor starts it again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import faust

from driftloop.bus import aiokafka_reader
from driftloop.bus.admin import wait_for_topics
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.offsets import Offsets
from driftloop.bus.ports import Record, TopicPartition
from driftloop.process import log
from driftloop.process.clock import Clock
from driftloop.process.errors import Retriable
from services.monitoring.config import DetectorsSettings

DEFECT = 70
"""Exit code after a defect (EX_SOFTWARE of sysexits.h)."""
CONFIGURATION = 2
"""Exit code if another version of driftloop wrote the table."""
RESTART = 75
"""Exit code if a new start can help (EX_TEMPFAIL)."""

_logger = log.get(__name__)


def make_app(app_id: str, kafka: KafkaSettings, settings: DetectorsSettings) -> Any:
    """Return a Faust app with a table in memory, which Faust restores from its changelog topic.

    - The session settings: with Faust's own, the start after a kill waits 57 s until the broker frees the partition.
    - ``at_least_once``: Faust's exactly-once mode loses records.
    - ``stream_wait_empty=False``: a stop does not wait for the agent. To handle a window twice changes nothing.
    - ``topic_allow_declare=False``: `driftloop up` creates the changelog topic, as it does all others.
    - ``topic_disable_leader``: otherwise Faust creates a topic for leader election, which nothing here uses.
    - aiokafka, which Faust reads with, cannot read every header name.
    - Faust logs a lot while it works; only its warnings are kept.
    """
    aiokafka_reader.install()
    for name in ("faust", "mode"):
        logging.getLogger(name).setLevel(logging.WARNING)
    kafka = kafka.with_session(settings.session_timeout_s, settings.heartbeat_interval_s)
    return faust.App(
        kafka.full_name(app_id),
        **kafka.faust(settings.commit_interval_s),
        store="memory://",
        datadir=str(settings.home / "faust"),
        web_enabled=False,
        autodiscover=False,
        logging_config={"version": 1, "disable_existing_loggers": False},
        topic_partitions=1,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
    )


async def wait_until_topics_exist(kafka: KafkaSettings, topics: tuple[str, ...], timeout_s: float) -> None:
    """Wait before Faust starts: it ignores a topic that is missing at its start, and then never reads it.

    Raises:
        UndeclaredTopic: the broker still lacks a topic after the timeout.
    """
    await asyncio.to_thread(wait_for_topics, kafka, topics, timeout_s)


def bind_event_loop(app: Any) -> None:
    """Give the app's services the running event loop.

    Each service takes the event loop of the thread that first needs it. If partitions are assigned before the tables
    have started, this is the consumer's thread. The recovery of the tables then waits forever on a loop that nothing
    runs.
    """
    for service in (app, app.topics, app.tables, app.tables.recovery):
        service.loop = asyncio.get_running_loop()


async def start_in_time(app: Any, ready: Callable[[], bool], stop: threading.Event, timeout_s: float) -> None:
    """Start the app and wait until it is ready, or end the process. A start can hang, and then stopping hangs too."""
    try:
        async with asyncio.timeout(timeout_s):
            await app.start()
            while not (ready() or app.should_stop or stop.is_set()):  # noqa: ASYNC110  # Faust has no event for this
                await asyncio.sleep(0.05)
    except TimeoutError:
        _logger.error("not-started", timeout_s=timeout_s)
        end_process(RESTART)


def end_process(code: int) -> NoReturn:
    """End the process without any clean-up, so that Faust acknowledges nothing. The supervisor starts it again."""
    os._exit(code)


def record_of(event: Any, kafka: KafkaSettings) -> Record:
    """Return a Faust event as a record. Faust has the headers as a dict, as pairs, or as None."""
    message = event.message
    headers = message.headers.items() if isinstance(message.headers, dict) else message.headers or ()
    return Record(
        kafka.declared_name(message.topic),
        message.partition,
        message.offset,
        message.key,
        message.value,
        tuple(headers),
    )


@dataclass
class UndeliveredRecords:
    """Tells how long a partition has had a record that was not delivered. Times in seconds of one clock."""

    next_offset: int
    """Offset of the next record to be delivered."""
    _since_s: float | None = None
    _handling: bool = False

    def start(self) -> None:
        """Note that a record is being handled: the records behind it wait."""
        self._handling = True

    def finish(self, offset: int) -> None:
        """Note that the record has been handled."""
        self.next_offset = max(self.next_offset, offset + 1)
        self._handling = False
        self._since_s = None

    def overdue_s(self, end: int, now_s: float) -> float:
        """Return seconds since an undelivered record was first seen, or 0. ``end``: offset after the last record."""
        if self._handling or end <= self.next_offset:
            self._since_s = None
            return 0.0
        if self._since_s is None:
            self._since_s = now_s
        return now_s - self._since_s


@dataclass
class DeliveryWatch:
    """Ends the process if Faust does not deliver a record that the broker has.

    On a busy machine Faust sometimes skips the first record after its start. The next start delivers it. Faust does not
    notice, so this asks the broker. The decision on the next window detects a skipped window as well, but there may be
    no next window.
    """

    offsets: Offsets
    partition: TopicPartition
    clock: Clock
    settings: DetectorsSettings
    records: UndeliveredRecords = field(default_factory=lambda: UndeliveredRecords(0))
    _checked_s: float = 0.0

    async def begin(self, group: str) -> None:
        """Record where Faust starts to read: at the committed offset, or at the oldest record."""
        oldest = (await asyncio.to_thread(self.offsets.first, [self.partition]))[self.partition]
        committed = await asyncio.to_thread(self.offsets.committed, group, [self.partition])
        self.records = UndeliveredRecords(max(oldest, committed.get(self.partition, 0)))

    async def check(self) -> None:
        """Ask the broker for the end of the partition, at most once per interval."""
        now_s = self.clock.monotonic_s()
        if now_s - self._checked_s < self.settings.unread_look_s:
            return
        self._checked_s = now_s
        try:
            end = (await asyncio.to_thread(self.offsets.ends, [self.partition]))[self.partition]
        except Retriable as error:  # the next check asks again
            _logger.info("end-unknown", problem=str(error))
            return
        if self.records.overdue_s(end, self.clock.monotonic_s()) > self.settings.unread_timeout_s:
            _logger.warning("record-skipped", offset=self.records.next_offset, end=end)
            end_process(RESTART)
