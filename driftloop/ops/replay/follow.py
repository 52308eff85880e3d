"""Follows lifecycle topics on a thread, from their beginning."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from driftloop.bus.kafka_batch import KafkaBatchConsumer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.ports import BatchConsumer
from driftloop.contracts.topics import declared, message_class, topic
from driftloop.events.envelope import Envelope, from_record

Condition = Callable[[], bool]


class Follower:
    """Passes every event of some topics to ``process``; others can wait for conditions on the result."""

    def __init__(self, consumer: BatchConsumer, process: Callable[[Envelope[Any]], None]) -> None:
        self._consumer = consumer
        self._process = process
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="follow", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait_for(self, condition: Condition, timeout_s: float) -> bool:
        """Wait until the condition holds, checked after each event; return False if it does not in time.

        Raises:
            BaseException: the error that ended the following thread.
        """
        with self._changed:
            holds = self._changed.wait_for(lambda: self._error is not None or condition(), timeout_s)
        if self._error is not None:
            raise self._error
        return holds

    def stop(self) -> None:
        """Stop the thread, with a time limit, and close the consumer."""
        self._stop.set()
        self._thread.join(5.0)
        self._consumer.close()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                records = self._consumer.poll(500, 0.1)
                if records:
                    with self._changed:
                        for record in records:
                            self._process(
                                from_record(record, [message_class(name) for name in topic(record.topic).messages])
                            )
                        self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001 - raised in the waiting thread
            with self._changed:
                self._error = error
                self._changed.notify_all()


def follow_lifecycle(kafka: KafkaSettings, group: str, process: Callable[[Envelope[Any]], None]) -> Follower:
    """Return a follower of every topic that a replay may read. Start it."""
    return Follower(KafkaBatchConsumer(kafka, lifecycle_topics("replay", list(declared())), group), process)


def lifecycle_topics(consumer: str, declared: Sequence[str]) -> list[str]:
    """Return the topics that name this consumer."""
    return [name for name in declared if consumer in topic(name).consumers]
