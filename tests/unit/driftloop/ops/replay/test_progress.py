from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftloop.bus.ports import Outgoing, Record
from driftloop.events.event_log import records
from driftloop.events.raw_watermark import watermark
from driftloop.ops.replay.progress import Progress, read_progress
from driftloop.process.errors import ConfigError
from tests.helpers.memory_broker import MemoryBroker

PARTITIONS = {"placed": 2, "shelved": 1}


def _event(topic: str, partition: int, value: bytes) -> Outgoing:
    return Outgoing(topic, value, b"k", partition=partition)


def _marks(at_ms: int) -> list[Outgoing]:
    return [watermark(topic, p, at_ms) for topic, count in PARTITIONS.items() for p in range(count)]


FIRST = [_event("placed", 0, b"a"), _event("placed", 1, b"b"), _event("shelved", 0, b"a")]
SECOND = [_event("placed", 0, b"c"), _event("placed", 0, b"c"), _event("shelved", 0, b"d")]
SENT = [*_marks(0), *FIRST, *_marks(10), *SECOND, *_marks(20)]
"""Two steps of a replay from 0."""


def _progress(sent: list[Outgoing]) -> Progress:
    broker = MemoryBroker()
    for topic, count in PARTITIONS.items():
        broker.create_topic(topic, count)
    broker.append(sent)
    return read_progress(_stored(broker), PARTITIONS)


def _stored(broker: MemoryBroker) -> list[Record]:
    return list(records(broker.batch_consumer(list(PARTITIONS), "history")))


def test_a_new_replay_has_no_progress() -> None:
    progress = _progress([])
    assert progress.start_ms(0, 100, 10) == 0
    assert progress.unsent(FIRST) == FIRST


@given(st.lists(st.integers(0, len(SENT)), min_size=3, max_size=3))
def test_a_resumed_replay_sends_every_record_once(cuts: list[int]) -> None:
    """A producer marks all partitions before it continues, so acknowledged records are a prefix of each partition."""
    places = [("placed", 0), ("placed", 1), ("shelved", 0)]
    least = min(_marked(SENT[:cut], *place) for place, cut in zip(places, cuts, strict=True))
    sent = [
        record
        for place, cut in zip(places, cuts, strict=True)
        for number, record in enumerate(SENT)
        if (record.topic, record.partition) == place and number < cut and _step(number) <= least + 10
    ]
    progress = _progress(sent)
    start_ms = progress.start_ms(0, 100, 10)
    rest = {0: [*FIRST, *SECOND], 10: SECOND, 20: []}[start_ms]
    step = {0: FIRST, 10: SECOND, 20: []}[start_ms]
    again = [*progress.unsent(step), *rest[len(step) :]]
    events = [record for record in [*sent, *again] if record.value is not None]
    assert sorted(map(repr, events)) == sorted(map(repr, [*FIRST, *SECOND]))


def _step(number: int) -> int:
    """Return the watermark of the record, or the next watermark after it."""
    return next(_time(record) for record in SENT[number:] if record.value is None)


def _marked(sent: list[Outgoing], topic: str, partition: int) -> int:
    here = [
        record for record in sent if (record.topic, record.partition) == (topic, partition) and record.value is None
    ]
    return max(map(_time, here), default=-10)


def _time(mark: Outgoing) -> int:
    return int(dict(mark.headers)["driftloop-watermark"])


def test_an_event_that_comes_twice_in_a_step_is_sent_twice() -> None:
    progress = _progress([*_marks(0), *FIRST, *_marks(10), SECOND[0]])
    assert progress.start_ms(0, 100, 10) == 10
    assert progress.unsent(SECOND) == SECOND[1:]


def test_steps_of_another_length_are_refused() -> None:
    with pytest.raises(ConfigError, match="the topics end at 1970-01-01 00:00, inside a step"):
        _progress(SENT).start_ms(0, 100, 15)
    assert _progress(SENT).start_ms(0, 20, 15) == 20  # the last step may be shorter
