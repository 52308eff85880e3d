"""Each number, from a life made by hand."""

from __future__ import annotations

import pytest

from driftloop.contracts import control_pb2 as control
from driftloop.contracts import registry_pb2 as registry
from driftloop.ops.kpis import Kpis, Period, Share, measure, together
from tests.helpers.lifecycle import LifecycleEvents, at, drifting, first_champion

DAY_S = 86_400.0


def of(life: LifecycleEvents, since: float | None = None, until: float | None = None) -> Kpis:
    period = Period(None if since is None else at(since), None if until is None else at(until))
    return measure(life.events, [life.loop], period)[life.loop]


def test_an_alarm_is_detected_from_the_start_of_the_first_window_of_its_evidence() -> None:
    found = of(drifting()).time_to_detect
    assert found is not None
    assert (found.count, found.p50) == (1, 4 * DAY_S)  # evidence from day 20 on, alarm at the end of day 23


def test_an_alarm_whose_windows_are_not_known_tells_no_time_to_detect() -> None:
    life = LifecycleEvents()
    life.alarm(5, "r-a")
    assert of(life).time_to_detect is None


def test_the_answer_is_timed_to_the_request_the_run_and_the_first_scoring() -> None:
    life = drifting()
    found = of(life)
    steps = [found.time_to_request, found.time_to_run, found.time_to_scoring]
    assert all(each is not None and each.event_s.p50 == 0.0 for each in steps)
    walls = [each.wall_s.p50 for each in steps if each is not None]
    assert walls[:2] == [1.0, 2.0]
    assert walls[2:] == [8.0]  # after the run: trained, verdict, created, stage, route, converged


def test_an_alarm_is_repaired_by_the_promotion_that_replaces_its_release() -> None:
    found = of(drifting()).time_to_repair
    assert found is not None
    assert found.event_s.p50 == 8 * DAY_S
    assert of(drifting()).observed.open_alarms == 0


def test_a_promotion_that_another_reason_asked_for_repairs_too() -> None:
    life = LifecycleEvents()
    life.window(9, "")
    first_champion(life)
    life.window(10, "r-a")
    life.alarm(11, "r-a")
    verdict = life.verdict(20, "s", life.trained(20, "s", life.request(20, "s", life.windows[-1], kind="schedule")))
    life.promoted(20, "s", verdict, before="r-a")
    found = of(life)
    assert found.time_to_repair is not None
    assert found.time_to_repair.event_s.p50 == 9 * DAY_S
    assert found.time_to_request is None


def test_a_promotion_before_the_alarm_repairs_nothing() -> None:
    life = drifting()
    life.alarm(39, "r-c")
    found = of(life)
    assert found.observed.open_alarms == 1
    assert found.time_to_repair is not None
    assert found.time_to_repair.event_s.count == 1


def test_an_alarm_about_a_former_champion_is_neither_open_nor_repaired() -> None:
    life = drifting()
    life.coalesced(39, life.alarm(39, "r-a"), because="superseded")
    found = of(life).observed
    assert (found.open_alarms, found.superseded, found.alarms) == (0, 1, 2)


def test_an_alarm_that_was_kept_is_timed_to_the_request_that_lists_it() -> None:
    life = LifecycleEvents()
    life.window(0, "r-a")
    alarm = life.alarm(1, "r-a")
    life.coalesced(1, alarm)
    other = life.alarm(3, "r-a", detector="loss")
    life.request(4, "x", other, alarm)
    found = of(life).time_to_request
    assert found is not None
    assert (found.event_s.count, found.event_s.p50) == (2, 2 * DAY_S)


def test_alarms_that_only_tell_are_counted_and_asked_nothing_of() -> None:
    found = of(drifting())
    assert found.observed.watched == 1
    assert found.observed.alarms == 1


def test_releases_that_were_refused_are_defects() -> None:
    found = of(drifting())
    assert found.defects == Share(1, 3)
    assert found.observed.rollbacks == 0


def test_a_promotion_that_is_rolled_back_is_a_defect_and_no_help() -> None:
    life = drifting()
    command = life.command(41, control.Rollback(who="anna"))
    life.rolled_back(41, "c", command, "r-a")
    found = of(life)
    assert found.defects == Share(2, 3)
    assert found.observed.rollbacks == 1
    assert of(life, until=41).defects == Share(1, 3)


def test_a_run_that_failed_is_told_apart_from_releases() -> None:
    life = LifecycleEvents()
    life.window(0, "")
    life.failed(1, "x", life.request(1, "x", life.windows[-1], kind="schedule"))
    found = of(life)
    assert found.observed.failed_runs == 1
    assert found.defects.value is None


def test_no_hand_was_in_a_promotion_with_no_command_in_its_chain() -> None:
    assert of(drifting()).without_hand == Share(2, 2)


def test_an_approval_is_a_hand() -> None:
    life = LifecycleEvents()
    life.window(9, "")
    first_champion(life)
    verdict = life.verdict(11, "b", life.trained(11, "b", life.request(11, "b", life.windows[-1], kind="schedule")))
    approval = life.approve(12, "r-b")
    promotion = registry.ChampionPromoted(
        loop="orders", release_id="r-b", previous_release_id="r-a", evidence_ids=[approval.id]
    )
    life.add(12, promotion, chain=verdict.correlation_id)
    assert of(life).without_hand == Share(1, 2)


def test_a_retrain_that_a_person_asked_for_is_a_hand_even_beside_an_alarm() -> None:
    life = LifecycleEvents()
    life.window(9, "")
    first_champion(life)
    alarm, command = life.alarm(11, "r-a"), life.command(11, control.Retrain(who="anna", why="prices"))
    verdict = life.verdict(11, "b", life.trained(11, "b", life.request(11, "b", alarm, command)))
    life.promoted(12, "b", verdict, before="r-a")
    assert of(life).without_hand == Share(1, 2)


def test_taking_a_champion_back_later_puts_no_hand_in_its_promotion() -> None:
    life = drifting()
    promotion = next(e for e in life.events if e.type.endswith("ChampionPromoted") and e.data.release_id == "r-c")
    command = life.command(41, control.Rollback(who="anna"))
    life.rolled_back(41, "c", command, "r-a", chain=promotion.correlation_id)
    assert of(life).without_hand == Share(2, 2)


def test_deployments_are_counted_by_event_time() -> None:
    assert of(drifting()).promotions_per_30_days == pytest.approx(2 / 40 * 30)
    assert of(drifting(), since=20).promotions_per_30_days == pytest.approx(1 / 20 * 30)
    assert of(drifting(), until=20.5).promotions_per_30_days == pytest.approx(1 / 20.5 * 30)


def test_the_cycle_runs_from_the_request_to_the_promotion() -> None:
    found = of(drifting()).cycle_time
    assert found is not None
    assert found.event_s.count == 2
    assert found.event_s.p50 == 4 * DAY_S  # 0 for the first champion, 8 for the repair
    assert found.event_s.p90 == pytest.approx(7.2 * DAY_S)


def test_a_thing_counts_in_the_period_in_which_it_came_to_its_end() -> None:
    life = drifting()
    early, late = of(life, until=32), of(life, since=32)
    assert early.time_to_repair is None
    assert early.observed.open_alarms == 1
    assert late.time_to_repair is not None
    assert late.time_to_repair.event_s.p50 == 8 * DAY_S
    assert late.time_to_detect is None


def test_where_nothing_happened_there_is_no_number() -> None:
    life = LifecycleEvents()
    life.window(0, "")
    told = of(life).to_json()
    assert told["time_to_detect"] is None
    assert told["time_to_respond"] == {"request": None, "run": None, "scoring": None}
    assert told["time_to_repair"] is None
    assert told["cycle_time"] is None
    assert told["defects"]["value"] is None
    assert told["without_hand"]["value"] is None
    assert told["deployment_frequency"] == {"promotions": 0, "per_30_days": None}


def test_the_order_of_the_events_does_not_matter() -> None:
    life = drifting()
    assert measure(life.events[::-1], ["orders"], Period()) == measure(life.events, ["orders"], Period())


def test_another_loops_events_count_for_nothing() -> None:
    life = drifting()
    other = drifting("parcels")
    assert measure([*life.events, *other.events], ["orders"], Period())["orders"] == of(life)


def test_over_all_loops_times_are_pooled_and_a_rate_is_that_of_one_loop() -> None:
    quiet = LifecycleEvents("parcels")
    for day in range(40):
        quiet.window(day, "")
    found = together([of(drifting()), of(quiet)])
    assert found.time_to_repair == of(drifting()).time_to_repair
    assert found.promotions_per_30_days == pytest.approx(2 / 80 * 30)
