"""A value that late events changed names them; an unexplained one names none."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from driftloop.ops.checks.bruteforce import Aggregate, View, not_yet_visible
from tests.helpers.late_events import Difference, differences

WINDOWED = View("v", "e", ("k",), (Aggregate("n", "count", "x", 100), Aggregate("s", "sum", "x", 300)), ())
NEWEST = View("w", "e", ("k",), (), ("x",))
EVENTS = pa.table(
    {
        "event_id": ["a1", "a2", "a-late", "b-late"],
        "k": ["a", "a", "a", "b"],
        "x": [1.0, 2.0, 4.0, 8.0],
        "event_time_ms": [850, 950, 960, 500],
        "arrival_watermark_ms": [0, 0, 1000, 1000],
        "source_partition": [0] * 4,
        "source_offset": [0, 1, 2, 3],
    }
)
ASKED = pa.table({"row": [0, 1, 2, 3], "watermark_ms": [1000, 1001, 1100, 1000], "k": ["a", "a", "a", "b"]})
IDS = np.array(["p0", "p1", "p2", "p3"], dtype=np.object_)
NAN = float("nan")


def _differences(view: View, served: dict[str, list[float]]) -> list[Difference]:
    columns = {f"{view.name}__{name}": np.array(values) for name, values in served.items()}
    return list(differences(view, EVENTS, {}, ASKED, columns, IDS))


def test_a_late_event_is_hidden_from_earlier_predictions() -> None:
    assert not_yet_visible(WINDOWED, EVENTS, {}, ASKED) == {0: [(960, "a-late")], 3: [(500, "b-late")]}


def test_a_sum_that_lacks_a_late_event_names_it() -> None:
    explained = _differences(WINDOWED, {"n": [1, 2, 0, NAN], "s": [3, 7, 7, NAN]})
    assert [
        (difference.prediction_id, difference.feature, difference.on_time, difference.late) for difference in explained
    ] == [
        ("p0", "n", 2.0, ("a-late",)),
        ("p3", "n", 0.0, ("b-late",)),
        ("p0", "s", 7.0, ("a-late",)),
        ("p3", "s", 0.0, ("b-late",)),
    ]


@pytest.mark.parametrize("wrong", [4.0, NAN, 0.0])
def test_an_unexplained_value_names_no_late_event(wrong: float) -> None:
    explained = _differences(WINDOWED, {"s": [wrong, 7, 7, NAN]})
    assert ("p0", ()) in [(difference.prediction_id, difference.late) for difference in explained]


def test_a_late_event_outside_the_window_explains_nothing() -> None:
    [explained] = [
        difference for difference in _differences(WINDOWED, {"s": [3, 3, 7, NAN]}) if difference.prediction_id == "p1"
    ]
    assert explained.late == ()


def test_a_late_newest_row_is_named() -> None:
    explained = _differences(NEWEST, {"x": [2, 4, 4, NAN]})
    assert [(difference.prediction_id, difference.late) for difference in explained] == [
        ("p0", ("a-late",)),
        ("p3", ("b-late",)),
    ]
