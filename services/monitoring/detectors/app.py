"""The Faust app: one agent over closed windows, one table of detector states.

A window is acknowledged after its events stand in the outbox and the table is changed, with no pause between the two in
which Faust could cancel the agent. An error in an agent would acknowledge the window and go on to the next one; here it
ends the process at once, with nothing acknowledged, and the window comes again. So it is where Faust passes over the
first record at its start, which it does now and then on a busy machine: the next start begins with that record. The
window behind it shows it, and where there is none yet, the end of the topic.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, MutableMapping
from typing import Any

import faust

from driftloop.bus.admin import wait_for_topics
from driftloop.bus.dead_letters import DeadLetterLimit, dead_letter_for_error
from driftloop.bus.offsets import Offsets
from driftloop.bus.ports import LifecycleProducer, Record, TopicPartition
from driftloop.process import log, startup_errors
from driftloop.process.clock import Clock
from driftloop.process.errors import ConfigError, InvalidEvent, Retriable
from driftloop.runner.relay import Relay
from services.monitoring import metrics
from services.monitoring.config import DetectorsSettings
from services.monitoring.detectors.decide import Detectors
from services.monitoring.detectors.unread import Unread

SOURCE = "monitoring.window-closed.v1"
TOPICS = (SOURCE, "monitoring.drift-detected.v1", "monitoring.window-decided.v1")
APP_ID = "driftloop-detectors"
_PLACE = TopicPartition(SOURCE, 0)
DEFECT = 70
"""Exit code after a defect (EX_SOFTWARE of sysexits.h)."""
REFUSED = 2
"""Exit code where the table holds what this version does not read."""
AGAIN = NOT_STARTED = 75
"""Exit code where Faust did not begin to read in time, or passed over a window at its start (EX_TEMPFAIL)."""


def make_app(settings: DetectorsSettings) -> Any:
    """A Faust app with a memory store; its table stands in a changelog topic that Faust makes itself."""
    return faust.App(
        APP_ID,
        broker=[f"kafka://{each}" for each in settings.kafka_bootstrap.split(",")],
        store="memory://",
        datadir=str(settings.home / "faust"),
        web_enabled=False,
        autodiscover=False,
        logging_config={"version": 1, "disable_existing_loggers": False},
        topic_partitions=1,
        topic_replication_factor=1,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.heartbeat_interval_s,
        broker_commit_interval=settings.commit_interval_s,
        processing_guarantee="at_least_once",
        stream_wait_empty=False,
    )


class DetectorService:
    """`driftloop.process.Service` around the app."""

    def __init__(
        self,
        settings: DetectorsSettings,
        detectors: Detectors,
        make_producer: Callable[[], LifecycleProducer],
        make_relay: Callable[[LifecycleProducer], Relay],
        offsets: Offsets,
        clock: Clock,
        stop: threading.Event,
    ) -> None:
        self._settings = settings
        self._detectors = detectors
        self._make_producer = make_producer
        self._make_relay = make_relay
        self._offsets = offsets
        self._clock = clock
        self._unread = Unread(0)
        self._looked_s = 0.0
        self._stop = stop
        self._limit = DeadLetterLimit(settings.dead_letter_limit)
        self._log = log.get(__name__)
        self._app: Any = None

    def ready(self) -> bool:
        """Whether the app reads its partition and its table is whole."""
        app = self._app
        return bool(app is not None and app.started and app.tables.recovery.completed.is_set() and not app.rebalancing)

    async def run(self) -> None:
        """Detect until the stop event is set.

        Raises:
            UndeclaredTopic: the broker lacks a topic for too long.
            Retriable: the app ended by itself.
        """
        for chatty in ("faust", "mode"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
        timeout_s = self._settings.topics_timeout_s
        await asyncio.to_thread(wait_for_topics, self._settings.kafka_bootstrap, TOPICS, timeout_s)
        self._unread = Unread(await asyncio.to_thread(self._first))
        producer = self._make_producer()
        await producer.start()
        relay = self._make_relay(producer)
        self._app = self._wired(relay, producer)
        try:
            await self._start_in_time()
            while not await asyncio.to_thread(self._stop.wait, 0.25):
                if self._app.should_stop:
                    raise Retriable(f"the Faust app ended by itself: {self._app.crash_reason!r}")
                await relay.try_flush()
                await self._look_for_unread()
        finally:
            await self._app.stop()
            await producer.stop()

    async def _start_in_time(self) -> None:
        """Start the app, or end the process: where Faust hangs at its start, its stop hangs too."""
        timeout_s = self._settings.start_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                await self._app.start()
                while not (self.ready() or self._app.should_stop or self._stop.is_set()):  # noqa: ASYNC110  # no event
                    await asyncio.sleep(0.05)
        except TimeoutError:
            self._log.error("not-started", timeout_s=timeout_s, then="the supervisor starts the process again")
            os._exit(NOT_STARTED)

    def _first(self) -> int:
        """Where Faust begins: at what was acknowledged, or at the oldest record."""
        oldest = self._offsets.first([_PLACE])[_PLACE]
        return max(oldest, self._offsets.committed(APP_ID, [_PLACE]).get(_PLACE, 0))

    async def _look_for_unread(self) -> None:
        """End the process where a window has been there for too long that Faust has not handed over."""
        now_s = self._clock.monotonic_s()
        if now_s - self._looked_s < self._settings.unread_look_s:
            return
        self._looked_s = now_s
        try:
            end = (await asyncio.to_thread(self._offsets.ends, [_PLACE]))[_PLACE]
        except Retriable as error:  # no broker, no windows: the next look shows it
            self._log.info("end-unknown", problem=str(error))
            return
        overdue_s = self._unread.overdue_s(end, self._clock.monotonic_s())
        if overdue_s > self._settings.unread_timeout_s:
            self._log.warning(
                "passed-over", offset=self._unread.following, end=end, then="the supervisor starts the process again"
            )
            os._exit(AGAIN)

    def _wired(self, relay: Relay, producer: LifecycleProducer) -> Any:
        app = make_app(self._settings)
        source = app.topic(SOURCE, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
        table = app.Table("episodes", partitions=1, key_type=str, value_type=str)

        async def detect(stream: Any) -> None:
            async for event in stream.events():
                await self._guarded(_record(event), table, relay, producer)

        app.agent(source, name="detect")(detect)
        _bind(app, asyncio.get_running_loop())
        return app

    async def _guarded(
        self, record: Record, table: MutableMapping[str, str], relay: Relay, producer: LifecycleProducer
    ) -> None:
        self._unread.takes()
        try:
            await self._handle(record, table, relay, producer)
        except Retriable as error:
            self._log.warning("begins-again", problem=str(error), then="the supervisor starts the process again")
            os._exit(AGAIN)
        except ConfigError as error:
            self._log.error("configuration", problem=str(error))
            startup_errors.write_startup_errors(self._settings.home, "detectors", str(error))
            os._exit(REFUSED)
        except Exception:  # noqa: BLE001 - the consumer loop's edge: Faust would swallow it
            self._log.exception("defect", topic=record.topic, offset=record.offset)
            os._exit(DEFECT)
        self._unread.took(record.offset)

    async def _handle(
        self, record: Record, table: MutableMapping[str, str], relay: Relay, producer: LifecycleProducer
    ) -> None:
        try:
            event = self._detectors.read(record)
            if event is not None:
                self._detectors.decide(event, table)
            self._limit.accepted()
        except InvalidEvent as error:
            await self._refuse(record, error, producer)
        await relay.try_flush()

    async def _refuse(self, record: Record, error: InvalidEvent, producer: LifecycleProducer) -> None:
        metrics.DETECTORS_DEAD_LETTERED.add(reason=error.reason)
        await producer.send([dead_letter_for_error(record, error, "detectors")])
        self._limit.refused(error.reason)


def _bind(app: Any, loop: asyncio.AbstractEventLoop) -> None:
    """Give the app's services our event loop.

    Each takes the loop of the thread that asks it first. Where partitions are assigned before the tables have started,
    that is the consumer's thread, and the recovery of the tables waits forever in a loop that nobody runs.
    """
    for each in (app, app.topics, app.tables, app.tables.recovery):
        each.loop = loop


def _record(event: Any) -> Record:
    message = event.message
    headers = message.headers.items() if isinstance(message.headers, dict) else message.headers or ()
    return Record(message.topic, message.partition, message.offset, message.key, message.value, tuple(headers))
