from __future__ import annotations

import itertools

import pytest

from driftloop.process.errors import UndeclaredTopic
from tests.helpers.bus import BatchBusSuite, Bus, LifecycleBusSuite
from tests.helpers.memory_broker import MemoryBroker


class _MemoryBus(MemoryBroker):
    """A broker that makes up names of topics."""

    _numbers = itertools.count()

    def topic(self, partitions: int = 1) -> str:
        name = f"test-{next(self._numbers)}"
        self.create_topic(name, partitions)
        return name


class TestBatches(BatchBusSuite):
    @pytest.fixture
    def bus(self) -> Bus:
        return _MemoryBus()

    def test_a_consumer_of_a_topic_that_nobody_created_is_refused(self) -> None:
        with pytest.raises(UndeclaredTopic, match="nobody-made-me"):
            MemoryBroker().batch_consumer(["nobody-made-me"], "group")


class TestLifecycle(LifecycleBusSuite):
    @pytest.fixture
    def bus(self) -> Bus:
        return _MemoryBus()
