from __future__ import annotations

from pathlib import Path

from sqlalchemy import select

from driftloop.contracts import monitoring_pb2 as monitoring
from services.control.adapters.tables import deliveries, notices
from services.control.notify.queue import SENT, WAITING, SqlNoticeQueue
from services.control.watch import Notices, StuckLoops
from tests.helpers.clock import FakeClock
from tests.helpers.event_log import WALL_MS, EventLog, two_champions
from tests.unit.control.harness import Harness

HOUR_MS = 3_600_000


def states(harness: Harness) -> dict[str, str]:
    """Return the state of each notice, by kind."""
    query = select(notices.c.kind, deliveries.c.state).join(deliveries)
    with harness.engine.connect() as connection:
        return {row.kind: row.state for row in connection.execute(query)}


def rig_with_notices(folder: Path, clock: FakeClock) -> Harness:
    harness = Harness(folder)
    harness.listener = Notices(clock, HOUR_MS)
    return harness


def test_a_notice_is_queued_with_its_event(tmp_path: Path) -> None:
    harness = rig_with_notices(tmp_path, FakeClock(WALL_MS + 60_000))
    harness.read(two_champions().events)
    assert states(harness) == {"drift": WAITING, "rollback": WAITING}


def test_a_rebuilt_read_model_sends_no_second_notice(tmp_path: Path) -> None:
    clock = FakeClock(WALL_MS + 60_000)
    harness = rig_with_notices(tmp_path, clock)
    harness.read(two_champions().events)
    queue = SqlNoticeQueue(harness.engine, "a")
    for due in queue.due(clock.now_ms(), 10):
        queue.sent(due.notice.notice_id, clock.now_ms())
    with harness.engine.begin() as connection:
        harness.store.forget(connection)
    harness.read()
    assert states(harness) == {"drift": SENT, "rollback": SENT}


def test_an_old_history_gives_no_notices(tmp_path: Path) -> None:
    harness = rig_with_notices(tmp_path, FakeClock(WALL_MS + 100 * HOUR_MS))
    harness.read(two_champions().events)
    assert set(states(harness).values()) == {"passed-over"}


def test_a_stuck_loop_gives_one_notice(tmp_path: Path) -> None:
    clock = FakeClock(WALL_MS)
    harness = rig_with_notices(tmp_path, clock)
    log = EventLog()
    log.window(1)
    harness.read(log.events)
    loops = StuckLoops(harness.views, harness.engine, clock, harness.stop, HOUR_MS, lambda: True)
    loops.check()
    clock.move(3500)
    loops.check()
    assert states(harness) == {}
    clock.move(200)
    loops.check()
    loops.check()
    assert states(harness) == {"stuck": WAITING}
    with harness.engine.connect() as connection:
        assert len(connection.execute(select(notices)).all()) == 1


def test_a_working_loop_is_not_stuck(tmp_path: Path) -> None:
    clock = FakeClock(WALL_MS)
    harness = rig_with_notices(tmp_path, clock)
    log = EventLog()
    loops = StuckLoops(harness.views, harness.engine, clock, harness.stop, HOUR_MS, lambda: True)
    for number in range(1, 5):
        log.window(number)
        harness.read(log.events)
        loops.check()
        log.decided(number)
        harness.read(log.events)
        clock.move(3000)
        loops.check()
    assert states(harness) == {}


def test_an_alarm_of_a_watching_detector_sends_a_notice_of_its_own_kind(tmp_path: Path) -> None:
    harness = rig_with_notices(tmp_path, FakeClock(WALL_MS))
    log = EventLog()
    log.add("watch", monitoring.DriftDetected(detector="shift", mode="watch"), "w")
    harness.read(log.events)
    assert states(harness) == {"watch": "waiting"}
