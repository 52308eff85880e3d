"""Each check reports unequal values."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf.message import Message

from driftloop.bus.ports import Record
from driftloop.contracts import predictions_pb2 as predictions
from driftloop.loop import load_loop
from driftloop.ops.checks.bruteforce import Aggregate, View, compute
from driftloop.ops.checks.compare import compare_columns, unequal
from driftloop.ops.checks.joins import join_checks, recount_joins
from driftloop.ops.checks.predictions import Predictions, read_predictions
from driftloop.ops.checks.routing import arms, feature_age
from driftloop.ops.checks.windows import recount_windows
from driftloop.process.settings import ROOT

HOUR_MS = 3_600_000


def served(number: int, **fields: object) -> Record:
    values: dict[str, object] = {
        "loop": "orders",
        "prediction_id": f"p{number}",
        "key": f"k{number}",
        "decision_time_ms": 10 * HOUR_MS,
        "feature_watermark_ms": 10 * HOUR_MS,
        "release_id": "r1",
        "route_epoch": 1,
        "purpose": predictions.CLIENT,
        **fields,
    }
    message = predictions.PredictionServed(**values)  # type: ignore[arg-type]
    kind = message.DESCRIPTOR.full_name.encode()
    return Record("predictions.served.v1", 0, number, b"", message.SerializeToString(), (("ce_type", kind),))


def log(*records: Record) -> Predictions:
    return read_predictions(records, "orders")


def test_a_repeated_prediction_counts_once_and_is_reported() -> None:
    logged = log(served(1), served(1), served(2))
    assert (len(logged), logged.repeated) == (2, 1)


def test_loggedof_another_loop_are_left_out() -> None:
    assert len(log(served(1), served(2, loop="flows"))) == 1


def test_a_log_without_loggedis_empty() -> None:
    assert len(log()) == 0


def test_a_key_that_two_releases_answer_under_one_route_is_unequal() -> None:
    check = arms(log(served(1, key="same"), served(2, key="same", release_id="r2"), served(3)))
    assert (check.compared, check.unequal) == (2, 1)


def test_a_key_may_change_its_arm_with_the_route() -> None:
    assert arms(log(served(1, key="same"), served(2, key="same", release_id="r2", route_epoch=2))).unequal == 0


@pytest.mark.parametrize(("age_ms", "wrong"), [(HOUR_MS, 0), (HOUR_MS + 1, 1)])
def test_features_older_than_a_step_are_unequal(age_ms: int, wrong: int) -> None:
    check, _, p99_s = feature_age(log(served(1, feature_watermark_ms=10 * HOUR_MS - age_ms)), HOUR_MS)
    assert (check.unequal, p99_s) == (wrong, age_ms / 1000)


def test_nan_equals_only_nan() -> None:
    nan = float("nan")
    differs = unequal(np.array([nan, nan, 1.0, 1.0]), np.array([nan, 0.0, nan, 1.0 + 1e-12]))
    assert differs.tolist() == [False, True, True, False]


def test_a_column_of_one_side_only_is_unequal_in_all_values() -> None:
    check = compare_columns("x", {"a": np.zeros(3)}, {"a": np.zeros(3), "b": np.zeros(3)})
    assert (check.compared, check.unequal) == (6, 3)


def test_a_join_count_that_differs_is_unequal_by_the_difference() -> None:
    unequal_by_check = {check.name: check.unequal for check in join_checks({"joined": 5}, {"joined": 7, "missing": 1})}
    assert unequal_by_check["outcomes joined"] == 2
    assert unequal_by_check["outcomes missing"] == 1
    assert unequal_by_check["outcomes late"] == 0


def test_brute_force_counts_what_is_visible_and_in_the_window() -> None:
    view = View("v", "e", ("k",), (Aggregate("n", "count", "x", 100), Aggregate("s", "sum", "x", 100)), ())
    events = pa.table(
        {
            "k": ["a", "a", "a", "a", "b"],
            "x": [1.0, 2.0, None, 8.0, 16.0],
            "event_time_ms": [850, 950, 960, 970, 100],
            "arrival_watermark_ms": [0, 0, 0, 1000, 0],
            "source_partition": [0] * 5,
            "source_offset": [0, 1, 2, 3, 4],
        }
    )
    entities = pa.table({"row": [0, 1, 2, 3], "watermark_ms": [1000, 1001, 1000, 1000], "k": ["a", "a", "b", "c"]})
    values = compute(view, events, {}, entities)
    np.testing.assert_array_equal(values["n"], [1.0, 2.0, 0.0, np.nan])
    np.testing.assert_array_equal(values["s"], [2.0, 10.0, 0.0, np.nan])


def test_outcomes_are_recounted_with_corrections_and_those_that_come_too_late() -> None:
    loop = load_loop(ROOT / "tests" / "loops" / "orders").definition  # horizon 60h, and as long for corrections
    logged = log(served(1), served(2), served(3))
    ten = 10 * HOUR_MS
    outcomes = [
        ("k1", ten, 1.0),
        ("k1", ten + 1, 2.0),
        ("k1", ten + 2, 2.0),
        ("k0", ten + 3, 1.0),
        ("k2", ten + 61 * HOUR_MS, 1.0),
        ("k1", ten + 60 * HOUR_MS, 5.0),
        ("k2", ten + 62 * HOUR_MS, 3.0),
    ]
    assert recount_joins(logged, outcomes, loop, ten + 100 * HOUR_MS) == {
        "joined": 1,
        "duplicate": 1,
        "corrected": 3,
        "overdue": 1,
        "unpredicted": 1,
        "late": 1,
        "missing": 2,
        "backdated": 0,
    }


def test_predictions_for_a_past_time_are_recounted_as_backdated() -> None:
    loop = load_loop(ROOT / "tests" / "loops" / "orders").definition
    watermark = predictions.PredictionWatermark(loop="orders", watermark_ms=20 * HOUR_MS)
    header = (("ce_type", watermark.DESCRIPTOR.full_name.encode()),)
    mark = Record("predictions.served.v1", 0, 9, b"", watermark.SerializeToString(), header)
    score = [predictions.ReleaseScore(release_id="r1", role="champion", score=0.5)]
    rows = [served(number, scores=score) for number in range(1, 6)]
    logged = log(*rows[:2], mark, *rows[2:])
    outcomes = [(f"k{number}", 15 * HOUR_MS, 1.0) for number in (1, 3)] + [("k4", 21 * HOUR_MS, 1.0)]
    counts = recount_joins(logged, outcomes, loop, 100 * HOUR_MS)
    assert (counts["joined"], counts["backdated"], counts["missing"]) == (2, 1, 2)
    assert sum(sums.count for sums in recount_windows(logged, outcomes, loop, 100 * HOUR_MS).values()) == 2


def test_a_prediction_is_late_once_all_writers_have_passed_its_time() -> None:
    def in_band(message: Message) -> Record:
        header = (("ce_type", message.DESCRIPTOR.full_name.encode()),)
        return Record("predictions.served.v1", 0, 9, b"", message.SerializeToString(), header)

    def mark(writer: str, hours: int) -> Record:
        at_ms = hours * HOUR_MS
        return in_band(predictions.PredictionWatermark(loop="orders", writer=writer, start=1, watermark_ms=at_ms))

    joins = [in_band(predictions.WriterJoined(loop="orders", writer=name, start=1)) for name in ("a", "b")]
    first, second, third = (served(number) for number in (1, 2, 3))
    logged = log(*joins, mark("a", 20), first, mark("b", 15), second, mark("b", 30), third)
    assert logged.visible_ms.tolist() == [10 * HOUR_MS, 15 * HOUR_MS, 20 * HOUR_MS]
