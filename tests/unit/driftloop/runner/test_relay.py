"""The relay looks at the outbox when there is something to send, and only then."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert

from driftloop.runner import outbox
from driftloop.runner.relay import Relay
from tests.helpers.eventually import assert_eventually_async
from tests.unit.driftloop.runner.harness import NAME, Harness, closed, decided, effects

_LONG_S = 600.0


class Looks:
    """Counts the reads of the outbox."""

    def __init__(self, harness: Harness) -> None:
        self.count = 0
        event.listen(harness.engine, "before_cursor_execute", self._note)

    def _note(self, _connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        self.count += statement.startswith("SELECT outbox")


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    return Harness(tmp_path)


def _put(harness: Harness, number: int) -> None:
    cause: Any = closed(number)
    with harness.engine.begin() as connection:
        outbox.put(connection, [decided(cause)], source=NAME, wall_time_ms=0, cause=cause)


async def test_only_a_transaction_that_puts_events_wakes_the_relay(harness: Harness) -> None:
    looks = Looks(harness)
    relay = Relay(NAME, harness.engine, harness.broker.lifecycle_producer(), harness.clock)

    async def has_looked(count: int) -> bool:
        return looks.count >= count

    async def is_published(count: int) -> bool:
        return len(harness.published()) == count

    relaying = asyncio.create_task(relay.keep_flushing(lambda: False, _LONG_S))
    try:
        await assert_eventually_async(lambda: has_looked(1))
        for number in (1, 2):
            with harness.engine.begin() as connection:
                connection.execute(insert(effects).values(event_id=f"e{number}"))
            _put(harness, number)
            await assert_eventually_async(lambda published=number: is_published(published))  # type: ignore[misc]
    finally:
        relaying.cancel()
    assert looks.count == 3
