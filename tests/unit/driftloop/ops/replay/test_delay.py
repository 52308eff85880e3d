from __future__ import annotations

import numpy as np
import pyarrow as pa

from driftloop.loop import load_loop
from driftloop.ops.replay.delay import delay
from driftloop.ops.replay.encode import Events, events_of
from driftloop.process.settings import ROOT

BY_MS = 90
LOOP = load_loop(ROOT / "tests" / "loops" / "orders")
PLACED = "orders.placed"
TABLE = pa.table({"order_ref": [str(n) for n in range(2000)], "at_ms": pa.array(range(2000), pa.int64())})
EVENTS = events_of(PLACED, LOOP.definition.events[PLACED], LOOP.messages[PLACED], TABLE, "protobuf")


def _sent(events: Events) -> dict[int, int]:
    """Return when each record is sent, by its event time."""
    times = (int(record.key or b"") for record in events.between(0, 10_000))
    return {time_ms: int(at) for time_ms, at in zip(times, events.time_ms, strict=True)}


def test_a_share_of_the_events_is_sent_later_and_the_others_at_their_time() -> None:
    late = delay(EVENTS, 0.1, BY_MS, 3)
    sent = _sent(late)
    delays = [at - time_ms for time_ms, at in sent.items()]
    assert set(delays) == {0, BY_MS}
    assert 150 < delays.count(BY_MS) < 250
    assert len(sent) == 2000
    assert (np.diff(late.time_ms) >= 0).all()


def test_a_step_holds_what_is_sent_in_it() -> None:
    late = delay(EVENTS, 0.1, BY_MS, 3)
    step = late.between(1000, 1100)
    assert {int(record.key or b"") for record in step} == {
        time_ms for time_ms, at in _sent(late).items() if 1000 <= at < 1100
    }


def test_a_seed_makes_the_same_events_late() -> None:
    assert _sent(delay(EVENTS, 0.1, BY_MS, 3)) == _sent(delay(EVENTS, 0.1, BY_MS, 3))
    assert _sent(delay(EVENTS, 0.1, BY_MS, 3)) != _sent(delay(EVENTS, 0.1, BY_MS, 4))


def test_without_a_share_nothing_changes() -> None:
    assert _sent(delay(EVENTS, 0.0, BY_MS, 3)) == {n: n for n in range(2000)}
