from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from driftloop.bus.ports import Record
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.drift.windows import detector_rules
from driftloop.events.envelope import Draft, Envelope, from_draft, from_record, headers_of
from driftloop.process.errors import InvalidEvent, Retriable
from driftloop.runner.tables import open_database, outbox
from services.monitoring.detectors import state
from services.monitoring.detectors.decide import Detectors
from tests.helpers.clock import FakeClock
from tests.unit.monitoring.harness import definition
from tests.unit.monitoring.rows import DAY

RULES = detector_rules(definition())


@dataclass
class DetectorHarness:
    """A table and a database for detectors that are created again and again."""

    engine: Engine
    table: dict[str, str] = field(default_factory=dict)

    def detectors(self) -> Detectors:
        return Detectors({"orders": detector_rules(definition())}, self.engine, FakeClock(), "detectors")

    def sent(self, message: type[monitoring.DriftDetected | monitoring.WindowDecided]) -> list[Envelope[Any]]:
        query = select(outbox).order_by(outbox.c.position)
        with self.engine.connect() as connection:
            rows = connection.execute(query).all()
        records = [Record(row.topic, 0, row.position, row.key, row.value, _headers(row.headers)) for row in rows]
        return [
            from_record(record, [message])
            for record in records
            if record.header("ce_type") == message.DESCRIPTOR.full_name.encode()
        ]


def _headers(text: bytes) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, value.encode()) for name, value in json.loads(text))


@pytest.fixture
def detector_harness(tmp_path: Path) -> Iterator[DetectorHarness]:
    engine = open_database(f"sqlite:///{tmp_path / 'detectors.db'}", state.metadata)
    yield DetectorHarness(engine)
    engine.dispose()


def window(day: int, residual: float, *, loop: str = "orders", psi: float = 0.0) -> Envelope[Any]:
    data = monitoring.WindowClosed(
        loop=loop,
        window_id=f"w-{day}",
        start_ms=day * DAY,
        end_ms=(day + 1) * DAY,
        champion_release_id="r-1",
        releases=[
            monitoring.ReleaseWindow(release_id="r-2", role="challenger", count=50, residual_sum=50.0),
            monitoring.ReleaseWindow(release_id="r-1", role="champion", count=100, residual_sum=residual * 100),
        ],
        histograms=[
            monitoring.Histogram(release_id="r-2", name="x", counts=[50], psi=9.0),
            monitoring.Histogram(release_id="r-1", name="x", counts=[100], psi=psi),
        ],
    )
    draft = Draft(f"e-{day}", loop, data.end_ms, data)
    return from_draft(draft, source="test", wall_time_ms=0, cause=None, traceparent=None)


def drift(start: int, end: int) -> list[Envelope[Any]]:
    return [window(at, (0.2 if at >= 6 else 0.0) + (0.01 if at % 2 else -0.01)) for at in range(start, end)]


def test_every_window_is_decided_and_alarms_precede_their_decision(detector_harness: DetectorHarness) -> None:
    detectors = detector_harness.detectors()
    for event in drift(0, 12):
        detectors.decide(event, detector_harness.table)
    (alarm,) = detector_harness.sent(monitoring.DriftDetected)
    answers = detector_harness.sent(monitoring.WindowDecided)
    assert len(answers) == 12
    opening = [answer for answer in answers if answer.data.opened]
    assert [list(answer.data.opened) for answer in opening] == [[alarm.id]]
    with detector_harness.engine.connect() as connection:
        order = [row.event_id for row in connection.execute(select(outbox).order_by(outbox.c.position))]
    assert order.index(alarm.id) + 1 == order.index(opening[0].id)


def test_an_alarm_starts_a_chain_and_a_decision_belongs_to_its_window(detector_harness: DetectorHarness) -> None:
    for event in drift(0, 12):
        detector_harness.detectors().decide(event, detector_harness.table)
    (alarm,) = detector_harness.sent(monitoring.DriftDetected)
    assert (alarm.correlation_id, alarm.causation_id) == (alarm.id, None)
    answer = detector_harness.sent(monitoring.WindowDecided)[0]
    assert (answer.correlation_id, answer.causation_id, answer.time_ms) == ("e-0", "e-0", DAY)


@pytest.mark.parametrize("killed_at", range(12))
def test_a_kill_between_outbox_and_table_sends_nothing_twice(detector_harness: DetectorHarness, killed_at: int) -> None:
    for at, event in enumerate(drift(0, 12)):
        if at == killed_at:
            detectors = detector_harness.detectors()
            detectors.publish(event, detectors.steps(event, detector_harness.table))
        detector_harness.detectors().decide(event, detector_harness.table)
    assert len(detector_harness.sent(monitoring.DriftDetected)) == 1
    assert len(detector_harness.sent(monitoring.WindowDecided)) == 12


@pytest.mark.parametrize("lost", [1, 2, 8])
def test_changes_that_the_table_lost_are_restored_from_the_database(
    detector_harness: DetectorHarness, lost: int
) -> None:
    tables: list[dict[str, str]] = []
    for at, event in enumerate(drift(0, 12)):
        if at == 8:
            detector_harness.table = tables[-lost]
        tables.append(dict(detector_harness.table))
        detector_harness.detectors().decide(event, detector_harness.table)
    (alarm,) = detector_harness.sent(monitoring.DriftDetected)
    assert alarm.data.episode == "w-9"
    assert list(alarm.data.evidence_ids) == ["e-6", "e-7", "e-8", "e-9"]


def test_a_skipped_window_causes_one_restart(detector_harness: DetectorHarness) -> None:
    events = drift(0, 12)
    for event in events[:8]:
        detector_harness.detectors().decide(event, detector_harness.table)
    with pytest.raises(Retriable, match="w-9 of orders came before"):
        detector_harness.detectors().decide(events[9], detector_harness.table)
    assert len(detector_harness.sent(monitoring.WindowDecided)) == 8
    for event in events[8:]:
        detector_harness.detectors().decide(event, detector_harness.table)
    (alarm,) = detector_harness.sent(monitoring.DriftDetected)
    assert alarm.data.episode == "w-9"


def test_a_window_that_is_still_missing_after_a_restart_is_ignored(detector_harness: DetectorHarness) -> None:
    events = drift(0, 12)
    for event in events[:5]:
        detector_harness.detectors().decide(event, detector_harness.table)
    with pytest.raises(Retriable):
        detector_harness.detectors().decide(events[6], detector_harness.table)
    for event in events[6:]:
        detector_harness.detectors().decide(event, detector_harness.table)
    assert len(detector_harness.sent(monitoring.WindowDecided)) == 11


def test_repeated_windows_after_a_restart_change_nothing(detector_harness: DetectorHarness) -> None:
    for event in drift(0, 12):
        detector_harness.detectors().decide(event, detector_harness.table)
    before = dict(detector_harness.table)
    for event in drift(3, 12):
        detector_harness.detectors().decide(event, detector_harness.table)
    assert detector_harness.table == before
    assert len(detector_harness.sent(monitoring.DriftDetected)) == 1
    assert len(detector_harness.sent(monitoring.WindowDecided)) == 12


def test_only_the_champion_is_tested(detector_harness: DetectorHarness) -> None:
    for event in [window(at, 0.01 if at % 2 else -0.01) for at in range(12)]:
        detector_harness.detectors().decide(event, detector_harness.table)
    assert detector_harness.sent(monitoring.DriftDetected) == []


def test_two_detectors_raise_two_alarms_on_one_window(detector_harness: DetectorHarness) -> None:
    for event in drift(0, 6):
        detector_harness.detectors().decide(event, detector_harness.table)
    for at in range(6, 12):
        detector_harness.detectors().decide(
            window(at, 0.2 + 0.01 * (at % 2), psi=0.9 if at == 9 else 0.0), detector_harness.table
        )
    alarms = detector_harness.sent(monitoring.DriftDetected)
    assert {alarm.data.detector: alarm.data.mode for alarm in alarms} == {
        "calibration": "trigger",
        "shift": "watch",
    }


def record(event: Envelope[Any], value: bytes | None = None) -> Record:
    body = event.data.SerializeToString() if value is None else value
    return Record("monitoring.window-closed.v1", 0, 0, b"orders", body, headers_of(event))


def test_a_window_of_an_unwatched_loop_is_skipped(detector_harness: DetectorHarness) -> None:
    assert detector_harness.detectors().read(record(window(0, 0.0, loop="parcels"))) is None
    assert detector_harness.detectors().read(record(window(0, 0.0))) is not None


def test_a_record_that_is_not_a_window_is_invalid(detector_harness: DetectorHarness) -> None:
    with pytest.raises(InvalidEvent):
        detector_harness.detectors().read(record(window(0, 0.0), b"\xff\xff"))


def test_a_decision_names_the_detectors_that_could_not_judge_the_newest_windows(
    detector_harness: DetectorHarness,
) -> None:
    rules = [replace(rule, min_rows=1000) if rule.name == "calibration" else rule for rule in RULES]
    detectors = Detectors({"orders": rules}, detector_harness.engine, FakeClock(), "detectors")
    for event in drift(0, 6):
        detectors.decide(event, detector_harness.table)
    answers = [answer.data for answer in detector_harness.sent(monitoring.WindowDecided)]
    assert [len(answer.silent) for answer in answers] == [0, 0, 0, 0, 1, 1]
    (silent,) = answers[-1].silent
    assert (silent.detector, silent.windows, silent.rows, silent.min_rows) == ("calibration", 6, 100, 1000)
