"""Damaged records on every topic of services: each service that reads one writes a dead letter, and none ends.

This module is the last of its folder, because its records stay in the logs that the other tests read. It is a proof
and not part of CI until it has run often: the serving agent crashed here in two of nine runs before `_headers_of` in
driftloop/bus/kafka_batch.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from driftloop.bus.dead_letters import SUFFIX
from driftloop.bus.kafka_batch import KafkaBatchProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.ports import Outgoing, Record
from tests.contract.readers import IN_THE_MESSAGE, READERS
from tests.e2e.running.system import RunningSystem
from tests.helpers import header_names
from tests.helpers.damaged_records import BATCH, ODD_NAME, Damaged, damaged_records
from tests.helpers.eventually import assert_eventually

pytestmark = [pytest.mark.e2e, pytest.mark.proof, pytest.mark.timeout(1200)]

USED = {(message, what) for _, message, what in IN_THE_MESSAGE}
"""Damage that leaves a record usable."""
Written = tuple[str, str, bytes | None]
"""Consumer, topic and key of a dead letter."""


class Missing(set[Written]):
    """Expected dead letters that do not exist yet. True if there is none, for `assert_eventually`."""

    def __bool__(self) -> bool:
        return len(self) == 0


def test_each_service_writes_a_dead_letter_for_each_damaged_record_and_none_ends(
    running: RunningSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = running.pids()
    start = time.time_ns()
    sent = [
        _with_key(damaged, f"damaged-{start + number}")
        for number, damaged in enumerate(damaged_records(running.loop.name))
        if damaged.what != BATCH and (damaged.message, damaged.what) not in USED
    ]
    expected = {
        (reader.consumer, damaged.record.topic, damaged.record.key)
        for reader in READERS.values()
        for damaged in sent
        if damaged.record.topic in reader.topics
    }
    _send(running, sent, monkeypatch)
    topics = sorted({f"{topic}{SUFFIX}" for _, topic, _ in expected})

    def missing() -> Missing:
        return Missing(expected - {_written(record) for record in running.topic(*topics)})

    assert_eventually(missing, 120.0, "missing dead letters")
    assert running.pids() == pids


def _with_key(damaged: Damaged, key: str) -> Damaged:
    """Return the record with a key of its own, by which its dead letters are found."""
    return replace(damaged, record=replace(damaged.record, key=key.encode()))


def _written(record: Record) -> Written:
    return (record.header("dlq-consumer") or b"").decode(), record.topic.removesuffix(SUFFIX), record.key


def _send(running: RunningSystem, damaged: Sequence[Damaged], monkeypatch: pytest.MonkeyPatch) -> None:
    """Send the records as they are, and those with an odd header name with one."""
    records = [
        (each.what, Outgoing(each.record.topic, each.record.value, each.record.key, each.record.headers, 0))
        for each in damaged
    ]
    producer = KafkaBatchProducer(KafkaSettings.of(running.settings))
    producer.send([record for what, record in records if what != ODD_NAME])
    producer.close()
    odd = [replace(record, headers=(header_names.ODD_HEADER,)) for what, record in records if what == ODD_NAME]
    asyncio.run(header_names.send_records(monkeypatch, running.settings.kafka_bootstrap, odd))
