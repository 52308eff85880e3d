"""A lifecycle service in a process of its own, to be killed: ``python -m <this module> BOOTSTRAP DATABASE_URL``."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert

from driftloop.bus.kafka_lifecycle import KafkaLifecycleConsumer, KafkaLifecycleProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.events.envelope import Draft, Envelope
from driftloop.process.signals import run_on_thread
from driftloop.runner.handler import HandlerTable, Transaction
from driftloop.runner.service import LifecycleService, topics_of
from driftloop.runner.tables import open_database
from tests.unit.driftloop.runner.harness import decided, effects, metadata

GROUP = "killed"


def note(event: Envelope[Any], tx: Transaction) -> Sequence[Draft]:
    """A row for each time a handler was here, and one answer."""
    tx.connection.execute(insert(effects).values(event_id=event.id))
    return [decided(event)]


def main() -> None:
    """Run until SIGTERM."""
    bootstrap, url = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, run_on_thread(stop.set))
    handlers: HandlerTable = {monitoring.WindowClosed: note}
    service = LifecycleService(
        name=GROUP,
        handlers=handlers,
        engine=open_database(url, metadata),
        consumer=KafkaLifecycleConsumer(KafkaSettings(bootstrap), topics_of(handlers), GROUP),
        producer=KafkaLifecycleProducer(KafkaSettings(bootstrap)),
        stop=stop,
    )
    asyncio.run(service.run())


if __name__ == "__main__":
    main()
