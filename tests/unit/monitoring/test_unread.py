from __future__ import annotations

from services.monitoring.detectors.unread import Unread


def test_a_record_that_nobody_was_given_is_overdue_from_when_it_was_seen() -> None:
    unread = Unread(2)
    assert unread.overdue_s(2, 100.0) == 0.0
    assert [unread.overdue_s(3, at) for at in (102.0, 104.0, 113.0)] == [0.0, 2.0, 11.0]


def test_each_record_that_comes_is_progress() -> None:
    unread = Unread(0)
    assert [unread.overdue_s(5, at) for at in (0.0, 9.0)] == [0.0, 9.0]
    unread.took(0)
    assert unread.following == 1
    assert [unread.overdue_s(5, at) for at in (10.0, 12.0)] == [0.0, 2.0]
    unread.took(4)
    assert unread.overdue_s(5, 100.0) == 0.0


def test_what_waits_behind_one_that_is_being_handled_was_not_passed_over() -> None:
    unread = Unread(1)
    assert unread.overdue_s(3, 0.0) == 0.0
    unread.takes()
    assert unread.overdue_s(3, 60.0) == 0.0
    unread.took(1)
    assert [unread.overdue_s(3, at) for at in (61.0, 64.0)] == [0.0, 3.0]


def test_a_record_that_comes_again_takes_nothing_back() -> None:
    unread = Unread(7)
    unread.took(4)
    assert unread.following == 7
