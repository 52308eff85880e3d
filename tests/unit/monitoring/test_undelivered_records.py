from __future__ import annotations

from services.monitoring.detectors.faust_workarounds import UndeliveredRecords


def test_an_undelivered_record_is_overdue_from_the_time_it_was_first_seen() -> None:
    records = UndeliveredRecords(2)
    assert records.overdue_s(2, 100.0) == 0.0
    assert [records.overdue_s(3, now_s) for now_s in (102.0, 104.0, 113.0)] == [0.0, 2.0, 11.0]


def test_each_delivered_record_restarts_the_wait() -> None:
    records = UndeliveredRecords(0)
    assert [records.overdue_s(5, now_s) for now_s in (0.0, 9.0)] == [0.0, 9.0]
    records.finish(0)
    assert records.next_offset == 1
    assert [records.overdue_s(5, now_s) for now_s in (10.0, 12.0)] == [0.0, 2.0]
    records.finish(4)
    assert records.overdue_s(5, 100.0) == 0.0


def test_records_behind_one_that_is_being_handled_are_not_overdue() -> None:
    records = UndeliveredRecords(1)
    assert records.overdue_s(3, 0.0) == 0.0
    records.start()
    assert records.overdue_s(3, 60.0) == 0.0
    records.finish(1)
    assert [records.overdue_s(3, now_s) for now_s in (61.0, 64.0)] == [0.0, 3.0]


def test_a_record_that_is_delivered_again_does_not_move_the_next_offset_back() -> None:
    records = UndeliveredRecords(7)
    records.finish(4)
    assert records.next_offset == 7
