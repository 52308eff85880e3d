from __future__ import annotations

import numpy as np

from driftloop.bus.ports import Outgoing
from driftloop.replay.encode import Encoded
from driftloop.replay.late import delay

BY_MS = 90
EVENTS = Encoded([Outgoing("t", str(n).encode(), None) for n in range(2000)], np.arange(2000, dtype=np.int64))


def _sent(encoded: Encoded) -> dict[int, int]:
    """When each record is sent, by its event time."""
    return {int(record.value or b""): int(at) for record, at in zip(encoded.records, encoded.time_ms, strict=True)}


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
    assert {int(each.value or b"") for each in step} == {
        time_ms for time_ms, at in _sent(late).items() if 1000 <= at < 1100
    }


def test_a_seed_makes_the_same_events_late() -> None:
    assert _sent(delay(EVENTS, 0.1, BY_MS, 3)) == _sent(delay(EVENTS, 0.1, BY_MS, 3))
    assert _sent(delay(EVENTS, 0.1, BY_MS, 3)) != _sent(delay(EVENTS, 0.1, BY_MS, 4))


def test_without_a_share_nothing_changes() -> None:
    assert _sent(delay(EVENTS, 0.0, BY_MS, 3)) == {n: n for n in range(2000)}
