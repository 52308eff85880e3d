"""Reads from a broker which offsets a batch of records has, without reading the records.

librdkafka reports where a batch begins that it cannot decompress, but not where it ends, and does not read on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from driftloop.process.errors import Retriable

_TIMEOUT_S = 10.0
_WAIT_MS = 500


@dataclass(frozen=True, slots=True)
class BatchRange:
    """First and last offset of a batch, and its size in bytes as the broker stores it."""

    first: int
    last: int
    size: int


def read_batch_range(options: Mapping[str, Any], topic: str, partition: int, offset: int) -> BatchRange:
    """Return the range of the batch with the record at ``offset``. ``options``: arguments of aiokafka's client.

    Raises:
        Retriable: the broker did not return the batch in time.
    """
    # Only this rare case needs the library here.
    from aiokafka.errors import KafkaError

    try:
        return asyncio.run(asyncio.wait_for(_read(options, topic, partition, offset), _TIMEOUT_S))
    except (KafkaError, OSError, TimeoutError) as error:
        raise Retriable(f"no batch at {topic}/{partition}/{offset}: {error!r}") from error


async def _read(options: Mapping[str, Any], topic: str, partition: int, offset: int) -> BatchRange:
    from aiokafka import TopicPartition
    from aiokafka.client import AIOKafkaClient
    from aiokafka.errors import for_code
    from aiokafka.protocol.fetch import FetchRequest
    from aiokafka.record.memory_records import MemoryRecords

    client = AIOKafkaClient(**options)
    await client.bootstrap()
    try:
        await client.add_topic(topic)
        leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        if leader is None:
            raise Retriable(f"{topic}/{partition} has no leader now")
        # A broker returns at least one batch, however small the limit is.
        request = FetchRequest(_WAIT_MS, 1, 1, 0, [(topic, [(partition, offset, 1)])])
        response = await client.send(leader, request)
        [(_, [answer])] = response.topics
        if answer[1]:
            raise for_code(answer[1])()
        content = answer[-1]
        records = MemoryRecords(content)
        if not records.has_next():
            raise Retriable(f"{topic}/{partition} has no record at offset {offset}")
        size = records.size_in_bytes()
        batch = records.next_batch()
        return BatchRange(batch.base_offset, batch.next_offset - 1, size)
    finally:
        await client.close()
