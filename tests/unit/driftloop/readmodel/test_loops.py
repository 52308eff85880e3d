from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from driftloop.contracts import control_pb2 as control
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import training_pb2 as training
from driftloop.readmodel.loop_history import LoopHistory, loop_states
from driftloop.readmodel.loops import LoopState, SilentDetector
from tests.helpers.event_log import DAY_MS, LOOP, EventLog, two_champions


def state(log: EventLog) -> LoopState:
    [found] = loop_states(log.events)
    return found


def until(name: str) -> EventLog:
    """The log up to an event."""
    whole = two_champions()
    at = next(n for n, each in enumerate(whole.events) if each.id == f"{LOOP}:{name}")
    return EventLog(events=whole.events[: at + 1])


def test_a_champion_that_a_person_took_back_gives_way_to_the_one_before() -> None:
    found = state(two_champions())
    assert (found.champion, found.former, found.epoch, found.converged_epoch) == ("r-1", [], 5, 5)
    assert (found.release, found.stage, found.share) == ("", "", 0.0)


def test_before_it_the_former_champion_can_come_back() -> None:
    found = state(two_champions(rolled_back=False))
    assert (found.champion, found.former) == ("r-2", ["r-1"])
    assert found.champion_since_ms == 9 * DAY_MS
    assert found.chains == {"r-1": f"{LOOP}:first", "r-2": f"{LOOP}:drift"}


def test_in_canary_it_says_who_answers_how_much() -> None:
    found = state(until("converged 3"))
    assert (found.champion, found.release, found.stage, found.share) == ("r-1", "r-2", "canary", 0.1)
    assert found.verdict == "shadow: passed, gain +0.0200 [+0.0100, +0.0300] over 1 blocks, margin 0"
    assert (found.alarm, found.alarm_ms) == ("calibration: 5.76 > 5 over 3 blocks", 5 * DAY_MS)


def test_a_release_waits_for_a_person_until_its_next_stage() -> None:
    log = until("converged 2")
    asked = registry.ApprovalRequested(release_id="r-2", to_stage="canary", deadline_ms=20 * DAY_MS)
    log.add("asked", asked, "drift", "shadow verdict 2")
    waiting = state(log).waiting
    assert waiting is not None
    assert (waiting.release, waiting.to_stage, waiting.deadline_ms) == ("r-2", "canary", 20 * DAY_MS)
    log.entered(2, "canary", 3, 1, "asked", "drift", "approved by anna")
    assert state(log).waiting is None


def test_paused_until_resumed() -> None:
    log = two_champions()
    log.add("pause", control.Pause(who="anna", why="holidays"), "p")
    assert state(log).paused
    log.add("resume", control.Resume(who="anna", why="back"), "q")
    assert not state(log).paused


def test_a_first_champion_that_is_taken_back_leaves_nobody() -> None:
    log = until("promoted 1")
    log.entered(1, "rolled-back", 2, 0, "converged 1", "first", "route 1 failed")
    data = registry.ReleaseRolledBack(release_id="r-1", from_stage="champion", reason="route 1 failed")
    log.add("gone", data, "first", "converged 1")
    found = state(log)
    assert (found.champion, found.former, found.epoch) == ("", [], 2)


def test_loops_do_not_mix() -> None:
    other = EventLog("shops")
    other.window(3)
    found = loop_states([*two_champions().events, *other.events])
    assert [(each.loop, each.champion) for each in found] == [(LOOP, "r-1"), ("shops", "")]


def test_a_loop_without_a_trainer_says_what_nothing_was_trained_for_until_something_changes() -> None:
    log = two_champions()
    wish = training.Reason(kind="drift", event_id=f"{LOOP}:alarm")
    log.add("kept", training.ReasonCoalesced(loop=LOOP, reason=wish, because="no-trainer"), "k")
    assert state(log).untrained == "drift"
    model = control.ImportedModel(source="model.onnx")
    log.add("brought", training.RetrainRequested(loop=LOOP, request_id="q", model=model), "k")
    assert state(log).untrained == "drift"
    promoted = registry.ChampionPromoted(loop=LOOP, release_id="r-9", previous_release_id="r-1", epoch=9)
    log.add("promoted", promoted, "k")
    assert state(log).untrained == ""


def a_failed_run(log: EventLog, number: int, failures: int, kind: str = "drift", **fields: Any) -> None:
    """Add a request with its reason, and the failure of its run."""
    reason = training.Reason(kind=kind, event_id=f"{LOOP}:reason {number}", detail="why")
    data = training.RetrainRequested(request_id=f"f-{number}", reasons=[reason], failures=failures, breaker=3, **fields)
    log.add(f"request f{number}", data, f"f{number}")
    failed = training.RunFailed(request_id=f"f-{number}", run_id=f"run-{number}", reason="error", detail="KeyError: a")
    log.add(f"failed f{number}", failed, f"f{number}", f"request f{number}")


def test_the_breaker_is_open_from_the_failure_that_opens_it_to_the_next_promotion() -> None:
    log = two_champions()
    for number in (1, 2, 3):
        assert not state(log).breaker_open
        a_failed_run(log, number, failures=number - 1)
    found = state(log)
    assert (found.failures, found.breaker_open, found.last_failure) == (3, True, "run run-3 FAILED: error. KeyError: a")
    a_failed_run(log, 4, failures=3, kind="command")
    assert (state(log).failures, state(log).breaker_open) == (4, True)
    log.add("up", registry.ChampionPromoted(release_id="r-9", previous_release_id="r-1", epoch=9), "f4")
    assert (state(log).failures, state(log).breaker_open, state(log).last_failure) == (0, False, "")


def test_an_import_that_fails_does_not_count_for_the_breaker() -> None:
    log = two_champions()
    a_failed_run(log, 1, failures=2, kind="import", model=control.ImportedModel(source="m.onnx"))
    assert (state(log).failures, state(log).breaker_open) == (2, False)
    assert state(log).last_failure == "run run-1 FAILED: error. KeyError: a"


@pytest.mark.parametrize(
    ("cause", "failures"), [("worse", 3), ("", 3), ("unclear", 2), ("not-approved", 2), ("busy", 2)]
)
@pytest.mark.parametrize("end", [registry.ReleaseRejected, registry.ReleaseRolledBack])
def test_the_end_of_a_release_counts_as_the_retrain_controller_counts_it(end: Any, cause: str, failures: int) -> None:
    log = until("converged 2")
    reason = training.Reason(kind="drift", event_id=f"{LOOP}:alarm")
    again = training.RetrainRequested(request_id="q-2", reasons=[reason], failures=2, breaker=3)
    log.add("counted", again, "drift")
    log.add("ended", end(release_id="r-2", reason="gain 0", cause=cause), "drift", "shadow verdict 2")
    found = state(log)
    assert (found.failures, found.breaker_open) == (failures, failures == 3)
    assert bool(found.last_failure) == (failures == 3)


def test_too_few_rows_held_out_are_shown_and_count_for_nothing() -> None:
    log = two_champions()
    a_failed_run(log, 1, failures=1)
    few = registry.ReleaseRejected(release_id="r-8", stage="offline", reason="9 rows held out", cause="unclear")
    log.add("few", few, "f1")
    assert (state(log).failures, state(log).breaker_open) == (2, False)
    assert state(log).last_failure == "REJECTED r-8 in offline: 9 rows held out"


def test_a_reason_is_kept_until_it_is_requested_or_dropped() -> None:
    log = two_champions()
    first, second = (
        training.Reason(kind="drift", event_id=f"{LOOP}:{name}", detail=f"{name} drifts", event_time_ms=DAY_MS)
        for name in "ab"
    )
    for name, reason in (("kept a", first), ("kept b", second)):
        log.add(name, training.ReasonCoalesced(reason=reason, because="cooldown"), name)
    assert [(kept.kind, kept.detail, kept.because) for kept in state(log).kept] == [
        ("drift", "a drifts", "cooldown"), ("drift", "b drifts", "cooldown"),
    ]  # fmt: skip
    log.add("dropped a", training.ReasonCoalesced(reason=first, because="superseded", blocked_by="r-2"), "kept a")
    assert [kept.detail for kept in state(log).kept] == ["b drifts"]
    log.add("request b", training.RetrainRequested(request_id="b", reasons=[second]), "kept b")
    assert state(log).kept == []
    assert loop_states(reversed(log.events))[0].kept == []


def test_a_reason_that_the_breaker_keeps_shows_that_it_is_open_until_a_run_starts_by_itself() -> None:
    log = two_champions()
    reason = training.Reason(kind="drift", event_id=f"{LOOP}:a", event_time_ms=DAY_MS)
    log.add("kept", training.ReasonCoalesced(reason=reason, because="breaker"), "a")
    assert state(log).breaker_open
    log.add("asked", training.RetrainRequested(request_id="a", reasons=[reason]), "a")
    assert not state(log).breaker_open


def test_silent_detectors_are_those_of_the_newest_window_in_any_order_of_events() -> None:
    log = two_champions()
    for day, silent in ((28, [("a", 5)]), (29, [("a", 6), ("b", 5)])):
        rows = [
            monitoring.SilentDetector(detector=name, windows=windows, rows=48, min_rows=100) for name, windows in silent
        ]
        data = monitoring.WindowDecided(window_id=f"x{day}", end_ms=day * DAY_MS, decider="detectors", silent=rows)
        log.add(f"decided {day}", data, f"window {day}")
    wanted = [SilentDetector("a", 6, 48, 100), SilentDetector("b", 5, 48, 100)]
    assert state(log).silent == wanted
    assert loop_states(reversed(log.events))[0].silent == wanted
    history = LoopHistory(LOOP, log.events, keep_windows=False)
    history.extend([replace(log.events[0], id="early")])  # it belongs before the others, which are folded again
    assert history.state().silent == wanted
    log.add("decided 10", monitoring.WindowDecided(window_id="x30", end_ms=30 * DAY_MS, decider="detectors"), "w")
    assert state(log).silent == []
