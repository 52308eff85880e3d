from __future__ import annotations

import re

import pytest

from driftloop.contracts.topics import message_class
from driftloop.events.envelope import from_record
from driftloop.readmodel.catalogue import NOTICE_KINDS, STUCK
from driftloop.readmodel.event_text import describe_data
from services.control.domain.notices import Notice, notice_of, stuck
from tests.helpers.examples import examples
from tests.unit.control.notify.events import example, written

DRIFT, APPROVAL, ROLLBACK = (
    "monitoring.drift-detected.v1",
    "registry.approval-requested.v1",
    "registry.release-rolled-back.v1",
)
COALESCED = "training.reason-coalesced.v1"
RUN_FAILED, ROUTE_FAILED = "training.run-failed.v1", "serving.route-failed.v1"
PAUSED, GIVEN_UP = "ingestion.topic-paused.v1", "monitoring.writer-given-up.v1"
TOLD = (DRIFT, APPROVAL, ROLLBACK, RUN_FAILED, ROUTE_FAILED, PAUSED, GIVEN_UP)
HOUR_MS = 3_600_000
COMMAND = re.compile(
    r"`driftloop (?:status|timeline orders|(?:approve|reject) orders r-\w+ --why \.\.\.|"
    r"(?:rollback|retrain|resume) orders --why \.\.\.|dlq list orders\.placed)`"
)


def test_seven_kinds_of_events_give_notices() -> None:
    kinds = {}
    for example_ in examples("good"):
        kind = message_class(dict(example_.record.headers)["ce_type"].decode())
        notice = notice_of(from_record(example_.record, [kind]))
        if notice is not None:
            kinds[example_.record.topic] = notice.kind
    assert tuple(sorted(kinds)) == tuple(sorted(TOLD))
    assert {*kinds.values(), "watch", "breaker", STUCK.kind} == set(NOTICE_KINDS)


@pytest.mark.parametrize("topic", TOLD)
def test_a_notice_has_its_subject_and_a_command(topic: str) -> None:
    event, notice = example(topic), written(topic)
    assert (notice.event_id, notice.correlation_id, notice.loop) == (event.id, event.correlation_id, "orders")
    assert (notice.time_ms, notice.wall_time_ms) == (event.time_ms, event.wall_time_ms)
    assert notice.title.startswith("orders: ")
    assert len(notice.title) <= 150
    typed = re.findall(r"`[^`]+`", notice.text)
    assert typed
    assert all(COMMAND.fullmatch(command) for command in typed)


def test_the_notice_of_an_alarm_has_its_numbers() -> None:
    notice = written(DRIFT)
    assert notice.title == "orders: detector returns alarms"
    assert (
        "Statistic 5.31, threshold 4, 10 blocks, release r-8bddac6d3cdb, event time 2026-03-23 00:00 UTC."
        in notice.text
    )
    assert "5.31 standard errors from zero." in notice.text


def test_the_notice_of_an_alarm_promises_no_retrain() -> None:
    assert "a retrain starts" not in written(DRIFT).text
    assert "What follows, or why nothing does: `driftloop status`" in written(DRIFT).text


def test_an_alarm_in_watch_mode_gives_a_notice_that_no_retrain_follows() -> None:
    notice = written(DRIFT, mode="watch")
    assert (notice.kind, notice.title) == ("watch", "orders: detector returns shows a change")
    assert "The loop only watches it, so no retrain follows." in notice.text
    assert all(COMMAND.fullmatch(command) for command in re.findall(r"`[^`]+`", notice.text))


def test_a_reason_that_the_open_breaker_keeps_gives_a_notice() -> None:
    assert notice_of(example(COALESCED)) is None
    notice = written(COALESCED, because="breaker")
    assert (notice.kind, notice.title) == ("breaker", "orders: nothing is trained for schedule")
    assert "The reason is kept: every 30 days." in notice.text
    assert "`driftloop retrain orders --why ...`" in notice.text


def test_the_notice_of_an_approval_has_its_deadline() -> None:
    notice = written(APPROVAL)
    assert notice.text.startswith(f"{describe_data(example(APPROVAL).data)} UTC. ")
    assert "past 2026-03-29 00:00 UTC, 3.0 days after this" in notice.text
    assert "`driftloop approve orders r-1cc9b9930983 --why ...`" in notice.text


def test_the_notice_of_a_rollback_names_the_champion() -> None:
    assert "r-8bddac6d3cdb answers." in written(ROLLBACK).text
    assert "Nobody answers: the loop has no champion." in written(ROLLBACK, toReleaseId="").text


def test_the_notice_of_a_failure_has_its_reason() -> None:
    assert "gave no model: timeout: still running after 180 s." in written(RUN_FAILED).text
    assert "training/orders/run-17096e9ac432/stderr.log" in written(RUN_FAILED).text
    assert "for r-1cc9b9930983: bundles/orders/" in written(ROUTE_FAILED).text
    assert "for no release: gone." in written(ROUTE_FAILED, releaseId="", reason="gone").text


def test_foreign_text_is_cut_to_one_short_line() -> None:
    notice = written(RUN_FAILED, detail="Traceback\n  line\n" * 500)
    assert "\n" not in notice.text
    assert len(notice.text) < 1000


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
    notice = written(topic)
    assert written(topic, **same).notice_id == notice.notice_id
    assert written(topic, **other).notice_id != notice.notice_id


def test_kinds_and_loops_never_share_an_id() -> None:
    seen = {written(topic).notice_id for topic in TOLD}
    seen |= {_stuck(loop, {"the same words": 0}).notice_id for loop in ("orders", "parcels")}
    assert len(seen) == len(TOLD) + 2


def test_a_loop_is_stuck_when_work_is_pending_too_long() -> None:
    waits = {"training has not looked at window w-1": 1_700_000_000_000}
    assert stuck("orders", {}, 1_700_000_000_000 + HOUR_MS, HOUR_MS) is None
    assert stuck("orders", waits, 1_700_000_000_000 + HOUR_MS, HOUR_MS) is None
    notice = _stuck("orders", waits, 1_700_000_000_000 + 2 * HOUR_MS)
    assert notice.title == "orders: stuck for 2.0 hours"
    assert "Open since 2023-11-14 22:13 UTC: training has not looked at window w-1." in notice.text
    assert notice.wall_time_ms == 1_700_000_000_000 + 2 * HOUR_MS
    assert (notice.event_id, notice.correlation_id) == ("", "")


def test_a_stuck_loop_gives_one_notice_per_work_oldest_first() -> None:
    waits = {"second": 20, "first": 10, "young": 5 * HOUR_MS}
    notice = _stuck("orders", waits, 3 * HOUR_MS)
    assert notice.episode == "first since 1970-01-01"
    assert "1 more wait too." in notice.text
    assert _stuck("orders", {**waits, "third": 30}, 4 * HOUR_MS).notice_id == notice.notice_id
    assert _stuck("orders", {"second": 20, "third": 30}, 4 * HOUR_MS).episode == "second since 1970-01-01"


def test_the_same_work_gives_one_notice_per_day() -> None:
    first, later = (_stuck("orders", {"alarm of returns waits": hours * HOUR_MS}, 99 * HOUR_MS) for hours in (1, 20))
    assert first.notice_id == later.notice_id
    assert _stuck("orders", {"alarm of returns waits": 25 * HOUR_MS}, 99 * HOUR_MS).notice_id != first.notice_id


def test_the_oldest_work_does_not_depend_on_order() -> None:
    assert _stuck("orders", {"b": 1, "a": 1}) == _stuck("orders", {"a": 1, "b": 1})


def _stuck(loop: str, since: dict[str, int], now_ms: int = 10 * HOUR_MS) -> Notice:
    notice = stuck(loop, since, now_ms, HOUR_MS)
    assert notice is not None
    return notice
