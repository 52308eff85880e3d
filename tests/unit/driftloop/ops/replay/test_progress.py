from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftloop.bus.memory import MemoryBroker
from driftloop.bus.ports import Outgoing, Record
from driftloop.events.event_log import records
from driftloop.ops.replay.encode import watermark
from driftloop.ops.replay.progress import Progress, read_progress
from driftloop.process.errors import ConfigError

PARTITIONS = {"placed": 2, "shelved": 1}


def _event(topic: str, partition: int, value: bytes) -> Outgoing:
    return Outgoing(topic, value, b"k", partition=partition)


def _marks(at_ms: int) -> list[Outgoing]:
    return [watermark(topic, p, at_ms) for topic, count in PARTITIONS.items() for p in range(count)]


FIRST = [_event("placed", 0, b"a"), _event("placed", 1, b"b"), _event("shelved", 0, b"a")]
SECOND = [_event("placed", 0, b"c"), _event("placed", 0, b"c"), _event("shelved", 0, b"d")]
SENT = [*_marks(0), *FIRST, *_marks(10), *SECOND, *_marks(20)]
"""Two steps of a replay from 0 on."""


def _held(sent: list[Outgoing]) -> Progress:
    broker = MemoryBroker()
    for topic, count in PARTITIONS.items():
        broker.create_topic(topic, count)
    broker.append(sent)
    return read_progress(_stored(broker), PARTITIONS)


def _stored(broker: MemoryBroker) -> list[Record]:
    return list(records(broker.batch_consumer(list(PARTITIONS), "history")))


def test_nothing_is_held_of_a_replay_that_never_began() -> None:
    found = _held([])
    assert found.start_ms(0, 100, 10) == 0
    assert found.unsent(FIRST) == FIRST


@given(st.lists(st.integers(0, len(SENT)), min_size=3, max_size=3))
def test_wherever_each_partition_was_cut_everything_is_sent_once(cuts: list[int]) -> None:
    """A producer marks all partitions before it goes on: what was acknowledged is a beginning of each partition."""
    places = [("placed", 0), ("placed", 1), ("shelved", 0)]
    least = min(_marked(SENT[:cut], *place) for place, cut in zip(places, cuts, strict=True))
    sent = [
        each
        for place, cut in zip(places, cuts, strict=True)
        for number, each in enumerate(SENT)
        if (each.topic, each.partition) == place and number < cut and _step(number) <= least + 10
    ]
    found = _held(sent)
    start_ms = found.start_ms(0, 100, 10)
    rest = {0: [*FIRST, *SECOND], 10: SECOND, 20: []}[start_ms]
    step = {0: FIRST, 10: SECOND, 20: []}[start_ms]
    again = [*found.unsent(step), *rest[len(step) :]]
    events = [each for each in [*sent, *again] if each.value is not None]
    assert sorted(map(repr, events)) == sorted(map(repr, [*FIRST, *SECOND]))


def _step(number: int) -> int:
    """The watermark that the record brings or stands before."""
    return next(_time(each) for each in SENT[number:] if each.value is None)


def _marked(sent: list[Outgoing], topic: str, partition: int) -> int:
    here = [each for each in sent if (each.topic, each.partition) == (topic, partition) and each.value is None]
    return max(map(_time, here), default=-10)


def _time(mark: Outgoing) -> int:
    return int(dict(mark.headers)["driftloop-watermark"])


def test_an_event_that_comes_twice_in_a_step_is_sent_twice() -> None:
    found = _held([*_marks(0), *FIRST, *_marks(10), SECOND[0]])
    assert found.start_ms(0, 100, 10) == 10
    assert found.unsent(SECOND) == SECOND[1:]


def test_steps_of_another_length_are_refused() -> None:
    with pytest.raises(ConfigError, match="the topics end at 20, inside a step"):
        _held(SENT).start_ms(0, 100, 15)
    assert _held(SENT).start_ms(0, 20, 15) == 20  # the last one may be shorter
