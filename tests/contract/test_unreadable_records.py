"""A record that cannot be read becomes a dead letter of every service that reads its topic.

The topics and their messages are those of ``protos``, so that a new one is tested too. The rules without a dead letter
are `IN_THE_MESSAGE`, `REPORTED_BY` and `CLIENTS`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from driftloop.bus.ports import Outgoing
from driftloop.contracts.topics import declared
from tests.contract.readers import IN_THE_MESSAGE, LOOP, READERS
from tests.helpers.damaged_records import Damaged, damaged_records

CLIENTS = {"replay", "up"}
"""Commands of people. They log what they cannot read, go on, and write no dead letter."""
ONLY_CLIENTS = {"ingestion.probe-judged.v1", "replay.step-asked.v1"}
"""Topics that no service reads, so their damaged records have no dead letter."""
REPORTED_BY = {
    ("control", "predictions.served.v1"): "join",
    ("ingestion", "control.resume.v1"): "training",
}
"""Services that read a topic beside the one that uses all of it, by the reader that writes the dead letter."""
DAMAGED: dict[str, list[Damaged]] = {name: [] for name in declared()}
for damaged in damaged_records(LOOP):
    DAMAGED[damaged.record.topic].append(damaged)
Refused = Callable[[str], set[tuple[str, int]]]


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Refused:
    """Return a function that runs a reader once over all damaged records of its topics.

    It returns topic and offset of those that became dead letters. All are in partition 0.
    """
    known: dict[str, set[tuple[str, int]]] = {}

    def run(name: str) -> set[tuple[str, int]]:
        if name not in known:
            records = [damaged.record for topic in READERS[name].topics for damaged in DAMAGED[topic]]
            sent = [Outgoing(record.topic, record.value, record.key, record.headers, 0) for record in records]
            known[name] = READERS[name].dead_letters(tmp_path_factory.mktemp(name), sent)
        return known[name]

    return run


@pytest.mark.parametrize(
    ("name", "topic"), [(name, topic) for name, reader in READERS.items() for topic in sorted(reader.topics)]
)
def test_a_record_that_cannot_be_read_becomes_a_dead_letter(refused: Refused, name: str, topic: str) -> None:
    kept = {
        (name, damaged.message, damaged.what)
        for offset, damaged in enumerate(DAMAGED[topic])
        if (topic, offset) not in refused(name)
    }
    assert DAMAGED[topic]
    assert kept == {rule for rule in IN_THE_MESSAGE if name == rule[0] and rule[1] in declared()[topic].messages}


@pytest.mark.parametrize("topic", sorted(declared()))
def test_every_service_that_reads_a_topic_has_a_reader_or_a_rule(topic: str) -> None:
    readers = {reader.service for reader in READERS.values() if topic in reader.topics}
    ruled = {service for service, of in REPORTED_BY if of == topic}
    consumers = set(declared()[topic].consumers)
    assert consumers == readers | ruled | (consumers & CLIENTS)
    assert all(topic in READERS[REPORTED_BY[service, topic]].topics for service in ruled)
    assert (not readers) == (topic in ONLY_CLIENTS)
