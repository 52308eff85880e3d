from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from driftloop.readmodel.order import in_order
from tests.helpers.event_log import two_champions

EVENTS = two_champions().events


@given(st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_how_the_topics_were_read(chance: random.Random) -> None:
    shuffled = list(EVENTS)
    chance.shuffle(shuffled)
    assert in_order(shuffled) == in_order(EVENTS)


@given(st.lists(st.integers(-5_000, 5_000), min_size=len(EVENTS), max_size=len(EVENTS)))
def test_no_event_stands_before_its_cause_whatever_the_clocks_say(errors: list[int]) -> None:
    skewed = [replace(each, wall_time_ms=each.wall_time_ms + error) for each, error in zip(EVENTS, errors, strict=True)]
    places = {event.id: at for at, event in enumerate(in_order(skewed))}
    for event in skewed:
        if event.causation_id in places:
            assert places[event.causation_id] < places[event.id]


def test_with_right_clocks_it_is_the_order_of_writing() -> None:
    assert in_order(EVENTS) == EVENTS


def test_events_that_name_each_other_as_causes_are_all_there() -> None:
    first, second = replace(EVENTS[0], causation_id=EVENTS[1].id), replace(EVENTS[1], causation_id=EVENTS[0].id)
    assert {each.id for each in in_order([first, second])} == {first.id, second.id}


def test_an_event_that_comes_twice_stands_once() -> None:
    assert in_order([*EVENTS, *EVENTS]) == EVENTS
