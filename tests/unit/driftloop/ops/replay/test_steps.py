from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from driftloop.bus.ports import Outgoing
from driftloop.contracts import replay_pb2 as replay
from driftloop.contracts.topics import declared
from driftloop.events.envelope import Draft, Envelope, from_draft, to_record
from driftloop.ops.replay.follow import Follower, lifecycle_topics
from driftloop.ops.replay.producer import StepProducer
from driftloop.ops.replay.progress import read_progress
from driftloop.process.errors import InvalidEvent, Retriable
from tests.helpers.memory_broker import MemoryBroker

ASKED = "replay.step-asked.v1"


def _asked(at_ms: int) -> Outgoing:
    draft = Draft(f"asked-{at_ms}", "orders", at_ms, replay.StepAsked(loop="orders", watermark_ms=at_ms))
    return to_record(from_draft(draft, source="replay", wall_time_ms=0, cause=None, traceparent=None))


class _Answering(MemoryBroker):
    """A broker with a caller that requests a step's predictions at its watermark."""

    answers: bool = True

    def append(self, records: Any) -> None:
        sent = list(records)
        super().append(sent)
        marks = {int(dict(record.headers)["driftloop-watermark"]) for record in sent if record.value is None}
        if self.answers:
            super().append([_asked(at) for at in marks])


@pytest.fixture
def broker() -> _Answering:
    broker = _Answering()
    for name, partitions in (("placed", 2), ("shelved", 1), (ASKED, 1)):
        broker.create_topic(name, partitions)
    return broker


@pytest.fixture
def seen() -> list[int]:
    """Requested steps."""
    return []


@pytest.fixture
def follower(broker: _Answering, seen: list[int]) -> Iterator[Follower]:
    follower = Follower(broker.batch_consumer([ASKED], "replay"), lambda event: seen.append(event.data.watermark_ms))
    follower.start()
    yield follower
    follower.stop()


@dataclass(frozen=True)
class _At:
    """Return a record of a topic at each time."""

    topic: str
    times_ms: tuple[int, ...]

    def between(self, start_ms: int, end_ms: int) -> list[Outgoing]:
        here = (at for at in self.times_ms if start_ms <= at < end_ms)
        return [Outgoing(self.topic, str(at).encode(), b"k", partition=0) for at in here]


EVENTS = {"placed": _At("placed", (0, 5, 10, 24)), "shelved": _At("shelved", (7,))}


def _steps(broker: _Answering, follower: Follower, seen: list[int], timeout_s: float = 20.0) -> StepProducer:
    def is_done(at_ms: int) -> bool:
        return at_ms in seen

    return StepProducer(broker.batch_producer(), EVENTS, follower, is_done, lambda at: [f"step {at}"], timeout_s)


def test_each_step_sends_its_events_then_the_watermark_to_every_partition(
    broker: _Answering, follower: Follower, seen: list[int]
) -> None:
    steps = _steps(broker, follower, seen)
    assert steps.run(0, 25, 10, lambda: False) == 25
    placed = [record for record in broker.records("placed") if record.partition == 0]
    sent_to_first = [
        record.value.decode() if record.value else f"w{dict(record.headers)['driftloop-watermark'].decode()}"
        for record in placed
    ]
    assert sent_to_first == ["w0", "0", "5", "w10", "10", "w20", "24", "w25"]
    assert len([record for record in broker.records("placed") if record.partition == 1]) == 4
    assert [record.value for record in broker.records("shelved")] == [None, b"7", None, None, None]
    assert len(steps.durations_ms) == 3


def test_a_step_is_sent_after_the_previous_one_is_done(broker: _Answering, follower: Follower, seen: list[int]) -> None:
    broker.answers = False
    with pytest.raises(Retriable, match=r"the step to 1970-01-01 00:00 did not end within 0s: step 10"):
        _steps(broker, follower, seen, timeout_s=0.0).run(0, 25, 10, lambda: False)
    assert [record.value for record in broker.records("placed") if record.value] == [b"0", b"5"]


def test_a_replay_stops_between_steps_and_within_one(broker: _Answering, follower: Follower, seen: list[int]) -> None:
    assert _steps(broker, follower, seen).run(0, 25, 10, lambda: True) == 0
    broker.answers = False
    answers = iter([False])

    def stopped() -> bool:
        return next(answers, True)

    assert _steps(broker, follower, seen).run(0, 25, 10, stopped) == 0


def test_a_resumed_replay_sends_missing_records(broker: _Answering, follower: Follower, seen: list[int]) -> None:
    assert _steps(broker, follower, seen).run(0, 10, 10, lambda: False) == 10
    broker.append([Outgoing("placed", b"10", b"k", partition=0)])
    again = _steps(broker, follower, seen)
    again.progress = read_progress(
        [record for name in EVENTS for record in broker.records(name)], {"placed": 2, "shelved": 1}
    )
    assert again.run(again.progress.start_ms(0, 25, 10), 25, 10, lambda: False) == 25
    assert [record.value for record in broker.records("placed") if record.value] == [b"0", b"5", b"10", b"24"]
    assert [record.value for record in broker.records("shelved") if record.value] == [b"7"]


def test_a_resumed_replay_waits_for_the_interrupted_step(
    broker: _Answering, follower: Follower, seen: list[int]
) -> None:
    broker.answers = False
    with pytest.raises(Retriable, match="step 10"):
        _steps(broker, follower, seen, timeout_s=0.0).run(0, 25, 10, lambda: False)
    again = _steps(broker, follower, seen, timeout_s=0.0)
    again.progress = read_progress(
        [record for name in EVENTS for record in broker.records(name)], {"placed": 2, "shelved": 1}
    )
    again.resumed = True
    with pytest.raises(Retriable, match="step 10"):
        again.run(again.progress.start_ms(0, 25, 10), 25, 10, lambda: False)
    assert [record.value for record in broker.records("placed") if record.value] == [b"0", b"5"]
    broker.append([_asked(10)])
    broker.answers, again.timeout_s = True, 20.0
    assert again.run(10, 25, 10, lambda: False) == 25
    assert [record.value for record in broker.records("placed") if record.value] == [b"0", b"5", b"10", b"24"]


def test_a_replay_resumed_at_its_end_waits_for_the_last_step(
    broker: _Answering, follower: Follower, seen: list[int]
) -> None:
    broker.answers = False
    again = _steps(broker, follower, seen, timeout_s=0.0)
    again.resumed = True
    with pytest.raises(Retriable, match="step 25"):
        again.run(25, 25, 10, lambda: False)


def test_a_follower_raises_the_error_that_ended_it(broker: _Answering) -> None:
    def see(_event: Envelope[Any]) -> None:
        raise AssertionError("never reached")

    follower = Follower(broker.batch_consumer([ASKED], "replay"), see)
    follower.start()
    broker.append([Outgoing(ASKED, b"poison", b"k")])
    with pytest.raises(InvalidEvent):
        follower.wait_for(lambda: False, 10.0)
    follower.stop()


def test_a_follower_wait_has_a_timeout(follower: Follower) -> None:
    assert follower.wait_for(lambda: False, 0.01) is False
    assert follower.wait_for(lambda: True, 0.0) is True


def test_a_replay_follows_every_topic_that_names_it() -> None:
    topics = lifecycle_topics("replay", list(declared()))
    assert ASKED in topics
    assert "features.watermark-advanced.v1" in topics
    assert "predictions.served.v1" not in topics
