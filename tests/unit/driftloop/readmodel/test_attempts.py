from __future__ import annotations

from driftloop.contracts import control_pb2 as control
from driftloop.readmodel.attempts import attempts, incidents
from driftloop.readmodel.loop_history import LoopHistory
from tests.helpers.lifecycle import LifecycleEvents, at, drifting


def history(life: LifecycleEvents) -> LoopHistory:
    return LoopHistory(life.loop, life.events)


def test_a_request_is_tied_to_its_run_its_release_and_its_end() -> None:
    found = {each.release_id: each for each in attempts(history(drifting()))}
    assert list(found) == ["r-a", "r-b", "r-c"]
    assert found["r-a"].promoted is not None
    assert found["r-a"].scoring is None  # the first champion is nobody's challenger
    assert found["r-b"].defect is found["r-b"].rejected is not None
    repaired = found["r-c"]
    assert repaired.scoring is not None
    assert repaired.scoring.time_ms == at(24)
    assert repaired.promoted is not None
    assert repaired.defect is None


def test_a_run_that_failed_has_no_release() -> None:
    life = LifecycleEvents()
    life.failed(2, "x", life.request(2, "x", life.window(0, ""), kind="schedule"))
    [found] = attempts(history(life))
    assert found.failed is not None
    assert found.release_id == ""


def test_an_alarm_is_tied_to_the_request_that_lists_it_and_to_its_windows() -> None:
    life = drifting()
    [found] = incidents(history(life))
    assert found.began_ms == at(20)
    assert found.attempt is not None
    assert found.attempt.release_id == "r-c"
    assert found.repaired is not None
    assert found.repaired.data.release_id == "r-c"


def test_windows_that_are_not_in_the_log_are_left_out() -> None:
    life = drifting()
    gone = {window.id for window in life.windows[:22]}
    [found] = incidents(LoopHistory("orders", [event for event in life.events if event.id not in gone]))
    assert found.began_ms == at(22)


def test_a_command_in_another_chain_is_no_hand_in_this_one() -> None:
    life = drifting()
    life.command(33, control.Pause(who="anna"))
    assert all(each.commands == () for each in attempts(history(life)))


def test_the_order_of_events_does_not_matter() -> None:
    events = drifting().events
    assert attempts(LoopHistory("orders", events[::-1])) == attempts(LoopHistory("orders", events))


def test_a_loops_own_events_are_those_that_bear_its_name() -> None:
    assert LoopHistory("parcels", [*drifting().events, *LifecycleEvents("parcels").events]).events == {}


def test_a_route_without_a_challenger_is_not_the_scoring_of_a_run_without_a_release() -> None:
    life = drifting()
    request = life.request(30, "x", life.window(30, "r-c"), kind="schedule")
    assert next(attempt for attempt in attempts(history(life)) if attempt.request is request).scoring is None
