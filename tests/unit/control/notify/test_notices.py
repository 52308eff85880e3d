from __future__ import annotations

import re

import pytest

from driftloop.contracts.topics import message_class
from driftloop.events.envelope import from_record
from driftloop.readmodel.catalogue import NOTICE_KINDS, STUCK
from services.control.domain.notices import Notice, notice_of, stuck
from tests.helpers.examples import examples
from tests.unit.control.notify.events import example, written

DRIFT, APPROVAL, ROLLBACK = (
    "monitoring.drift-detected.v1",
    "registry.approval-requested.v1",
    "registry.release-rolled-back.v1",
)
RUN_FAILED, ROUTE_FAILED = "training.run-failed.v1", "serving.route-failed.v1"
TOLD = (DRIFT, APPROVAL, ROLLBACK, RUN_FAILED, ROUTE_FAILED)
HOUR_MS = 3_600_000
COMMAND = re.compile(
    r"`driftloop (?:timeline orders|(?:approve|reject) orders r-\w+ --why \.\.\.|rollback orders --why \.\.\.)`"
)


def test_of_all_events_five_kinds_are_told() -> None:
    found = {}
    for each in examples("good"):
        kind = message_class(dict(each.record.headers)["ce_type"].decode())
        told = notice_of(from_record(each.record, [kind]))
        if told is not None:
            found[each.record.topic] = told.kind
    assert tuple(sorted(found)) == tuple(sorted(TOLD))
    assert {*found.values(), STUCK.kind} == set(NOTICE_KINDS)


@pytest.mark.parametrize("topic", TOLD)
def test_a_notice_says_what_it_is_about_and_what_to_type(topic: str) -> None:
    event, told = example(topic), written(topic)
    assert (told.event_id, told.correlation_id, told.loop) == (event.id, event.correlation_id, "orders")
    assert (told.time_ms, told.wall_time_ms) == (event.time_ms, event.wall_time_ms)
    assert told.title.startswith("orders: ")
    assert len(told.title) <= 150
    typed = re.findall(r"`[^`]+`", told.text)
    assert typed
    assert all(COMMAND.fullmatch(each) for each in typed)


def test_an_alarm_is_told_with_its_numbers() -> None:
    told = written(DRIFT)
    assert told.title == "orders: detector returns alarms"
    assert (
        "Statistic 5.31, threshold 4, 10 blocks, release r-8bddac6d3cdb, event time 2026-03-23 00:00 UTC." in told.text
    )
    assert "5.31 standard errors from zero." in told.text


def test_an_alarm_that_only_watches_is_not_told() -> None:
    assert notice_of(example(DRIFT, mode="watch")) is None


def test_an_approval_is_told_with_its_deadline() -> None:
    told = written(APPROVAL)
    assert told.text.startswith("r-1cc9b9930983 WAITS for an approval to enter champion, until 2026-03-29 00:00 UTC. ")
    assert "past 2026-03-29 00:00 UTC, 3.0 days after this" in told.text
    assert "`driftloop approve orders r-1cc9b9930983 --why ...`" in told.text


def test_a_rollback_says_who_answers_now() -> None:
    assert "r-8bddac6d3cdb answers." in written(ROLLBACK).text
    assert "Nobody answers: the loop has no champion." in written(ROLLBACK, toReleaseId="").text


def test_a_failure_says_why() -> None:
    assert "gave no model: timeout: still running after 180 s." in written(RUN_FAILED).text
    assert "training/orders/run-17096e9ac432/stderr.log" in written(RUN_FAILED).text
    assert "for r-1cc9b9930983: bundles/orders/" in written(ROUTE_FAILED).text
    assert "for no release: gone." in written(ROUTE_FAILED, releaseId="", reason="gone").text


def test_somebody_elses_words_stay_short_and_on_one_line() -> None:
    told = written(RUN_FAILED, detail="Traceback\n  line\n" * 500)
    assert "\n" not in told.text
    assert len(told.text) < 1000


@pytest.mark.parametrize(
    ("topic", "same", "other"),
    [
        (DRIFT, {"statistic": 7.0, "blocks": 12}, {"episode": "orders-1"}),
        (DRIFT, {"explanation": "other words"}, {"detector": "amounts"}),
        (DRIFT, {}, {"releaseId": "r-2"}),
        (APPROVAL, {}, {"deadlineMs": "1774742400001"}),
        (APPROVAL, {}, {"toStage": "canary"}),
        (APPROVAL, {}, {"releaseId": "r-2"}),
        (ROLLBACK, {"reason": "other words"}, {"releaseId": "r-2"}),
        (RUN_FAILED, {"detail": "other words"}, {"runId": "run-2"}),
        (ROUTE_FAILED, {"reason": "other words"}, {"epoch": "3"}),
    ],
)
def test_an_episode_has_one_id(topic: str, same: dict[str, object], other: dict[str, object]) -> None:
    told = written(topic)
    assert written(topic, **same).notice_id == told.notice_id
    assert written(topic, **other).notice_id != told.notice_id


def test_kinds_and_loops_never_share_an_id() -> None:
    seen = {written(topic).notice_id for topic in TOLD}
    seen |= {_stuck(loop, {"the same words": 0}).notice_id for loop in ("orders", "parcels")}
    assert len(seen) == len(TOLD) + 2


def test_a_loop_is_stuck_once_something_was_open_for_too_long() -> None:
    waits = {"training has not looked at window w-1": 1_700_000_000_000}
    assert stuck("orders", {}, 1_700_000_000_000 + HOUR_MS, HOUR_MS) is None
    assert stuck("orders", waits, 1_700_000_000_000 + HOUR_MS, HOUR_MS) is None
    told = _stuck("orders", waits, 1_700_000_000_000 + 2 * HOUR_MS)
    assert told.title == "orders: stuck for 2.0 hours"
    assert "Open since 2023-11-14 22:13 UTC: training has not looked at window w-1." in told.text
    assert told.wall_time_ms == 1_700_000_000_000 + 2 * HOUR_MS
    assert (told.event_id, told.correlation_id) == ("", "")


def test_a_stuck_loop_is_told_once_an_obligation_the_oldest_first() -> None:
    waits = {"second": 20, "first": 10, "young": 5 * HOUR_MS}
    told = _stuck("orders", waits, 3 * HOUR_MS)
    assert told.episode == "first since 1970-01-01"
    assert "1 more wait too." in told.text
    assert _stuck("orders", {**waits, "third": 30}, 4 * HOUR_MS).notice_id == told.notice_id
    assert _stuck("orders", {"second": 20, "third": 30}, 4 * HOUR_MS).episode == "second since 1970-01-01"


def test_the_same_words_are_told_again_on_another_day_and_not_after_a_restart_on_the_same() -> None:
    first, later = (_stuck("orders", {"alarm of returns waits": hours * HOUR_MS}, 99 * HOUR_MS) for hours in (1, 20))
    assert first.notice_id == later.notice_id
    assert _stuck("orders", {"alarm of returns waits": 25 * HOUR_MS}, 99 * HOUR_MS).notice_id != first.notice_id


def test_which_is_the_oldest_does_not_depend_on_their_order() -> None:
    assert _stuck("orders", {"b": 1, "a": 1}) == _stuck("orders", {"a": 1, "b": 1})


def _stuck(loop: str, since: dict[str, int], now_ms: int = 10 * HOUR_MS) -> Notice:
    found = stuck(loop, since, now_ms, HOUR_MS)
    assert found is not None
    return found
