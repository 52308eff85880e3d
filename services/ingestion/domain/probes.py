"""Probes: records that are checked like events and have no other effect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from driftloop.bus.ports import Record, TopicPartition
from driftloop.events.probe import is_probe
from services.ingestion.domain.rejection import Rejection

Records = Mapping[TopicPartition, Sequence[Record]]


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of a probe. ``fault`` is None if it passed; ``time_ms`` is then its event time, else 0."""

    record: Record
    fault: Rejection | None
    time_ms: int


def split_probes(records: Records, secret: str) -> tuple[Records, list[Record]]:
    """Split a batch into events and probes of this system. A partition with probes only is left out."""
    probes = [record for partition in records.values() for record in partition if is_probe(record, secret)]
    if not probes:
        return records, []
    events = {tp: [record for record in batch if not is_probe(record, secret)] for tp, batch in records.items()}
    return {tp: batch for tp, batch in events.items() if batch}, probes


def active(records: Records, secret: str) -> Iterator[TopicPartition]:
    """Yield partitions with records other than probes."""
    return (tp for tp, batch in records.items() if not all(is_probe(record, secret) for record in batch))
