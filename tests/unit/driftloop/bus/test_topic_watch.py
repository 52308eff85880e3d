from __future__ import annotations

import pytest

from driftloop.bus.topic_watch import CHECK_EVERY_S, TopicState, TopicWatch
from driftloop.process.errors import Retriable, TopicChanged

READ = {"a": TopicState("1", 2)}


class Broker:
    """The broker's topics, and a clock that each check moves on."""

    def __init__(self) -> None:
        self.topics = dict(READ)
        self.answers = True
        self.now_s = 0.0

    def describe(self) -> dict[str, TopicState]:
        if not self.answers:
            raise Retriable("no answer")
        return self.topics

    def clock_s(self) -> float:
        self.now_s += CHECK_EVERY_S
        return self.now_s


@pytest.mark.parametrize(
    ("topics", "says"),
    [
        ({}, "the broker no longer has the topic a; `driftloop up` creates it"),
        ({"a": TopicState("2", 2)}, "the topic a was created again"),
        ({"a": TopicState("1", 3)}, "the topic a has 3 partitions now, and 2 are read"),
        ({**READ, "gone": TopicState("5", 1)}, "the broker has the topic gone now"),
    ],
)
def test_a_change_of_a_topic_ends_the_process_with_a_sentence(topics: dict[str, TopicState], says: str) -> None:
    broker = Broker()
    watch = TopicWatch(broker.describe, broker.clock_s, absent=["gone"])
    watch.check()
    broker.topics = topics
    with pytest.raises(TopicChanged, match=says):
        watch.check()


def test_a_topic_that_came_between_two_looks_is_noticed() -> None:
    broker = Broker()
    broker.topics = {**READ, "gone": TopicState("5", 1)}
    watch = TopicWatch(broker.describe, broker.clock_s, absent=["gone"])
    assert watch.ids() == {"a": "1"}
    with pytest.raises(TopicChanged, match="the broker has the topic gone now"):
        watch.check()


def test_a_broker_that_does_not_answer_is_asked_again_later() -> None:
    broker = Broker()
    watch = TopicWatch(broker.describe, broker.clock_s)
    broker.answers = False
    watch.check()
    broker.answers, broker.topics = True, {}
    with pytest.raises(TopicChanged, match="no longer has the topic a"):
        watch.check()
