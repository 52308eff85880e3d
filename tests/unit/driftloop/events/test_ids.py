from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from driftloop.events.ids import event_id, short_id


def test_equal_parts_always_give_equal_ids() -> None:
    assert event_id("window-closed", "orders", "w1") == "400ec3e9-17eb-5976-bd45-3dc9f4cab63c"
    assert short_id("r", "orders", "run-1") == "r-8bddac6d3cdb"


_WORDS = st.text(st.characters(exclude_characters="\x1f", exclude_categories=["Cs"]), max_size=8)


@given(st.lists(_WORDS, min_size=1, max_size=4, unique=True))
def test_different_kinds_or_parts_give_different_ids(parts: list[str]) -> None:
    assert event_id("a", *parts) != event_id("b", *parts)
    assert event_id("a", *parts) != event_id("a", *parts, "")
    assert event_id("a", *parts) != event_id("a", "".join(parts), "x")


def test_the_boundary_between_parts_matters() -> None:
    assert event_id("a", "bc", "d") != event_id("a", "b", "cd")
    assert event_id("a", 12, 3) != event_id("a", 1, 23)


def test_ids_are_uuids_of_version_5() -> None:
    assert uuid.UUID(event_id("a", 1)).version == 5


def test_a_short_id_is_its_prefix_and_twelve_hex_digits() -> None:
    prefix, _, digits = short_id("run", "orders", 7).partition("-")
    assert prefix == "run"
    assert len(digits) == 12
    assert int(digits, 16) >= 0
