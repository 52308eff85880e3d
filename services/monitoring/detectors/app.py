"""The Faust app: one agent reads closed windows, one table holds the detector states.

A window is acknowledged after its events are in the outbox and the table has changed. Between the two the agent does
not wait, so Faust cannot cancel it there. An error ends the process at once, with nothing acknowledged, and the window
arrives again. `faust_workarounds` says why.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, MutableMapping
from typing import Any

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.offsets import Offsets
from driftloop.bus.ports import LifecycleProducer, Record, TopicPartition
from driftloop.loop.topics import DETECTOR_STATES, DETECTORS_GROUP, DETECTORS_TABLE
from driftloop.process import log, startup_errors
from driftloop.process.clock import Clock
from driftloop.process.errors import ConfigError, Retriable
from driftloop.runner.relay import Relay
from services.monitoring.config import DetectorsSettings
from services.monitoring.detectors import faust_workarounds
from services.monitoring.detectors.decide import Detectors
from services.monitoring.detectors.faust_workarounds import DeliveryWatch

SOURCE = "monitoring.window-closed.v1"
TOPICS = (SOURCE, "monitoring.drift-detected.v1", "monitoring.window-decided.v1", DETECTOR_STATES)


class DetectorService:
    """Runs the app as a `driftloop.process.serve.Service`."""

    def __init__(
        self,
        settings: DetectorsSettings,
        kafka: KafkaSettings,
        detectors: Detectors,
        make_producer: Callable[[], LifecycleProducer],
        make_relay: Callable[[LifecycleProducer], Relay],
        offsets: Offsets,
        clock: Clock,
        stop: threading.Event,
    ) -> None:
        self._settings = settings
        self._kafka = kafka
        self._detectors = detectors
        self._make_producer = make_producer
        self._make_relay = make_relay
        self._delivery = DeliveryWatch(offsets, TopicPartition(SOURCE, 0), clock, settings)
        self._stop = stop
        self._log = log.get(__name__)
        self._app: Any = None

    def ready(self) -> bool:
        """Return whether the app reads its partition and its table is restored."""
        app = self._app
        return bool(app is not None and app.started and app.tables.recovery.completed.is_set() and not app.rebalancing)

    async def run(self) -> None:
        """Detect until the stop event is set.

        Raises:
            UndeclaredTopic: the broker still lacks a topic after the timeout.
            Retriable: the app ended by itself.
        """
        await faust_workarounds.wait_until_topics_exist(self._kafka, TOPICS, self._settings.topics_timeout_s)
        await self._delivery.begin(DETECTORS_GROUP)
        producer = self._make_producer()
        await producer.start()
        relay = self._make_relay(producer)
        self._app = self._make_app(relay, producer)
        try:
            await faust_workarounds.start_in_time(self._app, self.ready, self._stop, self._settings.start_timeout_s)
            while not await asyncio.to_thread(self._stop.wait, 0.25):
                if self._app.should_stop:
                    raise Retriable(f"the Faust app ended by itself: {self._app.crash_reason!r}")
                await relay.try_flush()
                await self._delivery.check()
        finally:
            await self._app.stop()
            await producer.stop()

    def _make_app(self, relay: Relay, producer: LifecycleProducer) -> Any:
        app = faust_workarounds.make_app(DETECTORS_GROUP, self._kafka, self._settings)
        name = self._kafka.full_name(SOURCE)
        source = app.topic(
            name,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
        )
        table = app.Table(DETECTORS_TABLE, partitions=1, key_type=str, value_type=str)

        async def detect(stream: Any) -> None:
            async for event in stream.events():
                await self._guarded(faust_workarounds.record_of(event, self._kafka), table, relay, producer)

        app.agent(source, name="detect")(detect)
        faust_workarounds.bind_event_loop(app)
        return app

    async def _guarded(
        self, record: Record, table: MutableMapping[str, str], relay: Relay, producer: LifecycleProducer
    ) -> None:
        """Handle a record, or end the process so that Faust does not acknowledge it."""
        self._delivery.records.start()
        try:
            await self._handle(record, table, relay, producer)
        except Retriable as error:
            self._log.warning("restarting", problem=str(error))
            faust_workarounds.end_process(faust_workarounds.RESTART)
        except ConfigError as error:
            self._log.error("configuration", problem=str(error))
            startup_errors.write_startup_errors(self._settings.home, "detectors", str(error))
            faust_workarounds.end_process(faust_workarounds.CONFIGURATION)
        except Exception:  # noqa: BLE001 - the consumer loop's edge: Faust would swallow it
            self._log.exception("defect", topic=record.topic, offset=record.offset)
            faust_workarounds.end_process(faust_workarounds.DEFECT)
        self._delivery.records.finish(record.offset)

    async def _handle(
        self, record: Record, table: MutableMapping[str, str], relay: Relay, producer: LifecycleProducer
    ) -> None:
        dead_letters = self._detectors.handle(record, table)
        if dead_letters:
            await producer.send(dead_letters)
        await relay.try_flush()
