from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
from sqlalchemy import Engine, select

from driftloop.runner.tables import open_database
from services.control.adapters.tables import deliveries, metadata
from services.control.notify import metrics, queue
from services.control.notify.notifier import Notifier, Pace
from services.control.notify.queue import SqlNoticeQueue
from services.control.notify.webhook import Webhook
from tests.helpers.clock import FakeClock
from tests.helpers.eventually import assert_eventually
from tests.helpers.ports import free_ports
from tests.unit.control.notify.events import notice
from tests.unit.control.notify.receiver import SECRET, Receiver, Reply, receiving

PACE = Pace(poll_s=0.001, retry_first_s=2.0, retry_longest_s=60.0, attempts=8)


@dataclass
class Harness:
    """A notifier with a real queue and a real receiver; time is the test's."""

    engine: Engine
    receiver: Receiver
    clock: FakeClock
    stop: threading.Event
    notifier: Notifier

    def put(self, *numbers: int) -> None:
        with self.engine.begin() as connection:
            for number in numbers:
                queue.put(connection, notice(number, self.clock.now_ms()), self.clock.now_ms())

    def states(self) -> list[str]:
        return [state for state, *_ in self._rows()]

    def problems(self) -> list[str]:
        return [problem for _, problem, *_ in self._rows()]

    def due_in_s(self) -> float:
        [(_, _, due_ms)] = self._rows()
        return (due_ms - self.clock.now_ms()) / 1000

    def told(self) -> list[str]:
        return [each["notice"]["notice_id"] for each in self.receiver.got]

    def _rows(self) -> list[tuple[str, str, int]]:
        columns = (deliveries.c.state, deliveries.c.problem, deliveries.c.due_wall_ms)
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(select(*columns).order_by(deliveries.c.notice_id))]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_database(f"sqlite:///{tmp_path / 'control.db'}", metadata)
    yield made
    made.dispose()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def harness(engine: Engine, receiver: Receiver) -> Harness:
    return rig_of(engine, receiver)


def rig_of(engine: Engine, receiver: Receiver, url: str = "", pace: Pace = PACE, timeout_s: float = 30.0) -> Harness:
    clock, stop = FakeClock(), threading.Event()
    webhook = Webhook(url or receiver.url, timeout_s, clock)
    notifier = Notifier(SqlNoticeQueue(engine, "a"), webhook, clock, stop, pace, seed=3)
    return Harness(engine, receiver, clock, stop, notifier)


def test_what_is_due_is_sent_once(harness: Harness) -> None:
    harness.put(1, 2)
    assert harness.notifier.drain() == 2
    assert harness.notifier.drain() == 0
    assert harness.told() == ["n-1", "n-2"]
    assert harness.states() == ["sent", "sent"]


def test_a_receiver_in_trouble_is_tried_again_until_it_takes_it(harness: Harness) -> None:
    harness.receiver.replies += [Reply(500), Reply(500)]
    harness.put(1)
    assert harness.notifier.drain() == 0
    assert harness.notifier.drain() == 0
    assert len(harness.told()) == 1
    harness.clock.move(2.0)
    assert harness.notifier.drain() == 0
    harness.clock.move(4.0)
    assert harness.notifier.drain() == 1
    assert harness.told() == ["n-1"] * 3
    assert harness.states() == ["sent"]


def test_pauses_double_up_to_the_longest_and_are_never_all_alike(harness: Harness) -> None:
    harness.receiver.replies += [Reply(500)] * 7
    harness.put(1)
    pauses = []
    for _ in range(7):
        harness.notifier.drain()
        pauses.append(harness.due_in_s())
        harness.clock.move(pauses[-1])
    shares = [pause / longest for pause, longest in zip(pauses, [2, 4, 8, 16, 32, 60, 60], strict=True)]
    assert all(0.5 <= each <= 1.0 for each in shares)
    assert len({round(each, 3) for each in shares}) > 3


def test_a_notice_that_is_never_taken_is_given_up_after_all_tries(harness: Harness) -> None:
    harness.receiver.replies += [Reply(500)] * 20
    harness.put(1)
    for _ in range(20):
        harness.notifier.drain()
        harness.clock.move(60.0)
    assert len(harness.told()) == PACE.attempts
    assert harness.states() == ["given-up"]


def test_a_pause_that_the_receiver_asks_for_holds_for_all_notices(harness: Harness) -> None:
    harness.receiver.replies.append(Reply(429, {"Retry-After": "90"}))
    harness.put(1, 2, 3)
    assert harness.notifier.drain() == 0
    assert harness.told() == ["n-1"]
    harness.clock.move(89.9)
    assert harness.notifier.drain() == 0
    assert harness.told() == ["n-1"]
    harness.clock.move(0.1)
    assert harness.notifier.drain() == 3
    assert harness.told() == ["n-1", "n-1", "n-2", "n-3"]


def test_a_refused_notice_is_given_up_at_once_and_the_next_one_sent(harness: Harness) -> None:
    harness.receiver.replies.append(Reply(404, content=b"no_service"))
    harness.put(1, 2)
    assert harness.notifier.drain() == 1
    harness.clock.move(3600.0)
    assert harness.notifier.drain() == 0
    assert harness.states() == ["given-up", "sent"]
    assert harness.problems()[0] == "HTTP 404: no_service"


def test_a_receiver_that_is_not_there_is_tried_again(engine: Engine, receiver: Receiver) -> None:
    [port] = free_ports(1)
    harness = rig_of(engine, receiver, url=f"http://127.0.0.1:{port}{SECRET}")
    harness.put(1)
    assert harness.notifier.drain() == 0
    assert harness.states() == ["waiting"]
    assert harness.problems() == ["no answer: ConnectionRefusedError (Connection refused)"]


def test_a_receiver_that_is_too_slow_is_tried_again(engine: Engine, receiver: Receiver) -> None:
    harness = rig_of(engine, receiver, timeout_s=0.05)
    receiver.replies.append(Reply(held=True))
    harness.put(1)
    assert harness.notifier.drain() == 0
    assert harness.problems() == ["no answer: TimeoutError"]


def test_a_crash_before_the_note_sends_the_same_notice_again(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise SystemExit

    harness.put(1)
    with monkeypatch.context() as patch:
        patch.setattr(SqlNoticeQueue, "sent", die)
        with pytest.raises(SystemExit):
            harness.notifier.drain()
    assert rig_of(harness.engine, harness.receiver).notifier.drain() == 1
    assert harness.told() == ["n-1", "n-1"]


def test_with_no_webhook_nothing_is_sent_and_nothing_piles_up(harness: Harness) -> None:
    silent = Notifier(SqlNoticeQueue(harness.engine, "a"), None, harness.clock, harness.stop, PACE)
    harness.put(1, 2)
    assert silent.drain() == 0
    assert harness.states() == ["passed-over", "passed-over"]
    assert harness.notifier.drain() == 0
    assert harness.told() == []


def test_neither_log_nor_row_shows_the_address(harness: Harness) -> None:
    harness.receiver.replies += [Reply(500, content=SECRET.encode()), Reply(404, content=SECRET.encode()), Reply()]
    harness.put(1, 2, 3)
    with structlog.testing.capture_logs() as logs:
        harness.notifier.drain()
    assert [each["event"] for each in logs] == ["notice-waits", "notice-given-up", "notice-sent"]
    assert "secret" not in f"{logs} {harness.problems()}"


def test_what_becomes_of_a_notice_is_counted(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[tuple[str, str]] = []

    @dataclass
    class Counted:
        name: str

        def add(self, *, loop: str, kind: str) -> None:
            counted.append((self.name, f"{loop} {kind}"))

    for name in ("SENT", "RETRIED", "GIVEN_UP"):
        monkeypatch.setattr(metrics, name, Counted(name))
    harness.receiver.replies += [Reply(500), Reply(404), Reply()]
    harness.put(1, 2, 3)
    harness.notifier.drain()
    assert counted == [(name, "orders run-failed") for name in ("RETRIED", "GIVEN_UP", "SENT")]


def test_it_works_on_a_thread_until_it_is_stopped(harness: Harness) -> None:
    thread = threading.Thread(target=harness.notifier.run)
    thread.start()
    try:
        harness.put(1)
        assert_eventually(lambda: harness.states() == ["sent"])
    finally:
        harness.stop.set()
        thread.join(60)
    assert not thread.is_alive()


def test_once_stopped_nothing_more_is_sent(harness: Harness) -> None:
    harness.put(1)
    harness.stop.set()
    assert harness.notifier.drain() == 0
    assert harness.told() == []
