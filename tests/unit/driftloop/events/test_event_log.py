from __future__ import annotations

import pytest

from driftloop.bus.ports import Outgoing
from driftloop.contracts.topics import topic
from driftloop.events.envelope import from_record
from driftloop.events.event_log import LIFECYCLE, decode, distinct_events, readable, records
from driftloop.process.errors import InvalidEvent, Retriable
from tests.helpers.bus import numbered, numbers
from tests.helpers.event_log import two_champions
from tests.helpers.examples import examples
from tests.helpers.memory_broker import MemoryBroker


def test_all_records_up_to_the_current_end_are_read_once() -> None:
    broker = MemoryBroker()
    broker.create_topic("a", 2)
    broker.create_topic("empty")
    broker.append([*numbered("a", 5, partition=0), *numbered("a", 3, partition=1)])
    reading = records(broker.batch_consumer(["a", "empty"], "history"))
    first = next(reading)
    broker.append(numbered("a", 100, partition=0, start=5))  # after the reading began
    all_records = [first, *reading]
    assert sorted(numbers(all_records)) == [0, 0, 1, 1, 2, 2, 3, 4]


def test_a_broker_that_stops_before_the_end_raises() -> None:
    broker = MemoryBroker()
    broker.create_topic("a")
    broker.append([Outgoing("a", b"1")])
    consumer = broker.batch_consumer(["a"], "history")
    consumer.poll(1, 0.0)
    with pytest.raises(Retriable, match="1 partitions"):
        list(records(consumer, poll_s=0.0))


def test_every_good_example_is_decoded() -> None:
    for example in examples("good"):
        event = decode(example.record)
        assert event == from_record(example.record, [type(event.data)])
        assert event.type in topic(example.record.topic).messages
    with pytest.raises(InvalidEvent):
        decode(examples("poison")[0].record)


def test_records_that_cannot_be_read_do_not_hide_the_others() -> None:
    good, poison = examples("good"), examples("poison")
    mixed = [example.record for pair in zip(poison, good, strict=False) for example in pair]
    assert [event.id for event in readable(mixed)] == [decode(example.record).id for example in good[: len(poison)]]


def test_a_redelivered_event_is_returned_once() -> None:
    events = two_champions().events
    assert distinct_events([*events, *events[-3:]]) == distinct_events(reversed(events))
    assert [each.id for each in distinct_events([*events, events[0]])] == [each.id for each in distinct_events(events)]
    assert len(distinct_events(events)) == len(events)


def test_lifecycle_topics_are_those_kept_without_limit() -> None:
    assert "monitoring.drift-detected.v1" in LIFECYCLE
    assert "predictions.served.v1" not in LIFECYCLE
