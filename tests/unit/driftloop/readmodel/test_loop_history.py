from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope
from driftloop.readmodel.attempts import attempts
from driftloop.readmodel.history import serving_periods
from driftloop.readmodel.lineage import Lineage
from driftloop.readmodel.loop_history import WINDOWS, LoopHistory, histories
from tests.helpers.event_log import DAY_MS, LOOP, WALL_MS, EventLog, two_champions

EVENTS = two_champions().events


def answers(history: LoopHistory) -> tuple[Any, ...]:
    """Return what the queries answer from a history."""
    return (
        history.state(),
        list(history.releases.values()),
        serving_periods(history),
        attempts(history),
        Lineage(history, {event.id: event for event in EVENTS}.get).of("r-2"),
    )


EXPECTED = answers(LoopHistory(LOOP, EVENTS, keep_windows=False))


@given(st.randoms(use_true_random=False), st.integers(1, len(EVENTS)))
def test_batches_in_any_order_give_the_same_answers(chance: random.Random, size: int) -> None:
    shuffled = list(EVENTS)
    chance.shuffle(shuffled)
    history = LoopHistory(LOOP, keep_windows=False)
    for start in range(0, len(shuffled), size):
        history.extend(shuffled[start : start + size])
    assert answers(history) == EXPECTED


def test_in_order_every_event_is_applied_once(monkeypatch: pytest.MonkeyPatch) -> None:
    applied: list[str] = []
    apply = LoopHistory.apply

    def record(history: LoopHistory, event: Envelope[Any]) -> None:
        applied.append(event.id)
        apply(history, event)

    monkeypatch.setattr(LoopHistory, "apply", record)
    history = LoopHistory(LOOP, keep_windows=False)
    for event in EVENTS:
        history.extend([event])
    assert applied == [event.id for event in EVENTS]


def test_a_cause_that_arrives_after_its_effect_is_applied_before_it() -> None:
    early, late = EVENTS[:-1], EVENTS[-1]
    cause = next(event for event in early if event.id == late.causation_id)
    behind = replace(cause, wall_time_ms=late.wall_time_ms + 5_000)
    history = LoopHistory(LOOP, [event for event in EVENTS if event.id != cause.id])
    history.extend([behind])
    ids = list(history.events)
    assert ids.index(behind.id) < ids.index(late.id)


def test_an_event_that_comes_twice_counts_once() -> None:
    assert answers(LoopHistory(LOOP, [*EVENTS, *EVENTS], keep_windows=False)) == EXPECTED


def test_windows_are_dropped_on_request_but_their_pending_work_counts() -> None:
    log = EventLog()
    log.window(3)
    history = LoopHistory(LOOP, log.events, keep_windows=False)
    assert history.events == {}
    assert history.state().time_ms == 3 * DAY_MS
    assert len(history.state().open) == 3
    log.decided(3)
    history.extend(log.events)
    assert history.state().open == []


def test_later_events_do_not_change_a_state() -> None:
    history = LoopHistory(LOOP, EVENTS[:10])
    before = history.state()
    copy = replace(before, former=list(before.former), chains=dict(before.chains), open=list(before.open))
    history.extend(EVENTS[10:])
    assert before == copy
    assert history.state() != copy


def test_of_two_starts_of_a_run_the_first_counts_everywhere() -> None:
    started = next(event for event in EVENTS if isinstance(event.data, training.RunStarted))
    again = replace(started, id="again", time_ms=started.time_ms + 1, wall_time_ms=EVENTS[-1].wall_time_ms + 1)
    history = LoopHistory(LOOP, [*EVENTS, again])
    assert history.first(training.RunStarted, "run_id", started.data.run_id) is started
    assert attempts(history)[0].started is started


def test_each_loop_has_its_own_history() -> None:
    names = [history.loop for history in histories([*two_champions("shops").events, *EVENTS])]
    assert names == [LOOP, "shops"]


def test_the_span_begins_with_the_first_window() -> None:
    log = EventLog()
    log.window(3)
    assert LoopHistory(LOOP, log.events).span_ms() == (2 * DAY_MS, 3 * DAY_MS)


def test_a_hundred_thousand_events_take_seconds() -> None:
    data = monitoring.WindowClosed(loop=LOOP, start_ms=0, end_ms=DAY_MS)
    base = next(event for event in EVENTS if not isinstance(event.data, WINDOWS))
    events = [
        replace(base, id=f"{number}", wall_time_ms=WALL_MS + number, causation_id=f"{number - 1}", data=data)
        if number % 2
        else replace(base, id=f"{number}", wall_time_ms=WALL_MS + number, causation_id=f"{number - 1}")
        for number in range(100_000)
    ]
    began = time.process_time()
    history = LoopHistory(LOOP, keep_windows=False)
    history.extend(events)
    assert len(history.events) == 50_000
    assert time.process_time() - began < 10
