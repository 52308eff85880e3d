from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftloop.bus.kafka_batch import KafkaBatchProducer
from driftloop.bus.ports import Outgoing
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.events import ids
from driftloop.events.envelope import Draft, from_draft, to_record
from services.monitoring.detectors.faust_workarounds import RESTART
from tests.helpers.eventually import assert_eventually
from tests.helpers.kafka import Kafka
from tests.integration.monitoring.process import Process
from tests.integration.monitoring.records import Events

pytestmark = [pytest.mark.integration, pytest.mark.kafka, pytest.mark.extended]

DAY = 86_400_000
ROWS = 100
PATIENCE_S = 60.0


def window(number: int, residual: float) -> Outgoing:
    """A closed window whose champion's mean residual is known."""
    data = monitoring.WindowClosed(
        loop="orders",
        window_id=f"w-{number}",
        start_ms=number * DAY,
        end_ms=(number + 1) * DAY,
        champion_release_id="r-1",
        releases=[
            monitoring.ReleaseWindow(
                release_id="r-1", role="champion", count=ROWS, residual_sum=residual * ROWS, loss_sum=0.5 * ROWS
            )
        ],
    )
    event = from_draft(
        Draft(f"e-{number}", "orders", data.end_ms, data), source="test", wall_time_ms=0, cause=None, traceparent=None
    )
    return to_record(event)


def windows(start: int, end: int) -> list[Outgoing]:
    """Residuals around 0 in the first eight windows, then around 0.2."""
    return [window(at, (0.2 if at >= 8 else 0.0) + (0.01 if at % 2 else -0.01)) for at in range(start, end)]


@pytest.fixture
def detectors(tmp_path: Path, loops_dir: Path, own_kafka: Kafka) -> Iterator[Process]:
    process = Process("services.monitoring.detectors", tmp_path, loops_dir, own_kafka.settings)
    yield process
    process.end(signal.SIGKILL)


@pytest.mark.timeout(280)
@pytest.mark.proof
def test_one_alarm_per_episode_after_two_kills(detectors: Process, own_kafka: Kafka) -> None:
    producer = KafkaBatchProducer(own_kafka.settings)
    alarms, decided = (
        Events(own_kafka.settings, message) for message in (monitoring.DriftDetected, monitoring.WindowDecided)
    )

    def send(start: int, end: int) -> None:
        producer.send(windows(start, end))
        producer.flush()

    detectors.start()
    send(0, 10)
    assert_eventually(lambda: len(set(decided.ids())) == 10, PATIENCE_S, "decided on the first windows")
    assert alarms.read() == []
    detectors.end(signal.SIGKILL)

    send(10, 16)
    assert alarms.read() == []
    detectors.start()
    assert_eventually(lambda: detectors.supervised() and alarms.read(), PATIENCE_S, "alarm")
    detectors.end(signal.SIGKILL)

    send(16, 24)
    detectors.start()
    assert_eventually(lambda: detectors.supervised() and len(set(decided.ids())) == 24, PATIENCE_S, "decided on all")
    assert_eventually(lambda: "driftloop_detector_statistic" in detectors.get("/metrics"), say="metrics")
    assert '"ready": true' in detectors.get("/ready")
    assert detectors.end(signal.SIGTERM) == 0

    alarm = alarms.read()[0].data
    assert set(alarms.ids()) == {
        ids.event_id("monitoring.drift-detected", "orders", "calibration", "r-1", alarm.episode)
    }
    assert alarm.episode == "w-11"
    assert list(alarm.evidence_ids) == ["e-8", "e-9", "e-10", "e-11"], "it includes blocks from before the first kill"
    assert {event.data.window_id for event in decided.read()} == {f"w-{at}" for at in range(24)}
    opened = [name for event in decided.read() for name in event.data.opened]
    assert set(opened) == set(alarms.ids())
    with sqlite3.connect(detectors.home / "state" / "detectors.db") as connection:
        topics = connection.execute("select topic, count(*) from outbox group by topic order by topic").fetchall()
    assert topics == [("monitoring.drift-detected.v1", 1), ("monitoring.window-decided.v1", 24)]
    for events in (alarms, decided):
        events.close()


@pytest.mark.timeout(280)
def test_unreadable_records_are_dead_letters_and_an_error_acknowledges_nothing(
    detectors: Process, own_kafka: Kafka
) -> None:
    producer = KafkaBatchProducer(own_kafka.settings)
    decided = Events(own_kafka.settings, monitoring.WindowDecided)
    letters = Events(own_kafka.settings, monitoring.WindowClosed, ".dlq")
    good = window(100, 0.0)
    producer.send([Outgoing(good.topic, b"\xff\xff", good.key, good.headers), good])
    producer.flush()
    detectors.start()
    # the table has w-23, and a window after a gap is applied at the second start
    assert_eventually(
        lambda: detectors.supervised() and _windows(decided) == {"w-100"}, PATIENCE_S, "decided on the good window"
    )
    refused = {record.header("dlq-source"): record.value for record in assert_eventually(letters.records)}
    assert list(refused.values()) == [b"\xff\xff"]  # one source, however many dead letters

    database = detectors.home / "state" / "detectors.db"
    with sqlite3.connect(database) as connection:
        connection.execute("alter table outbox rename to hidden")
    producer.send([window(101, 0.0)])
    producer.flush()
    assert detectors.wait(PATIENCE_S) != 0
    assert _windows(decided) == {"w-100"}

    with sqlite3.connect(database) as connection:
        connection.execute("alter table hidden rename to outbox")
    detectors.start()
    # if Faust skips it, no later window shows that
    assert_eventually(
        lambda: detectors.supervised() and _windows(decided) == {"w-100", "w-101"},
        PATIENCE_S, "decided on the repeated window",
    )  # fmt: skip
    for events in (decided, letters):
        events.close()


def test_a_slow_start_ends_the_process_and_the_next_start_works(detectors: Process, own_kafka: Kafka) -> None:
    detectors.environment = {"DRIFTLOOP_START_TIMEOUT_S": "0.01"}
    detectors.start()
    assert detectors.wait(PATIENCE_S) == RESTART
    assert "not-started" in detectors.log.read_text()
    detectors.environment = {}
    detectors.start()
    assert_eventually(lambda: '"ready": true' in detectors.get("/ready"), PATIENCE_S, "ready")
    assert detectors.end(signal.SIGTERM) == 0


def _windows(decided: Events) -> set[str]:
    return {event.data.window_id for event in decided.read()}
