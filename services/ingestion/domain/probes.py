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


def set_aside(records: Records) -> tuple[Records, list[Record]]:
    """Split a batch into events and probes. A partition with probes only is left out."""
    probes = [record for held in records.values() for record in held if is_probe(record.headers)]
    if not probes:
        return records, []
    others = {place: [each for each in held if not is_probe(each.headers)] for place, held in records.items()}
    return {place: held for place, held in others.items() if held}, probes


def active(records: Records) -> Iterator[TopicPartition]:
    """Yield partitions with records other than probes."""
    return (place for place, held in records.items() if not all(is_probe(record.headers) for record in held))
