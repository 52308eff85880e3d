from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftloop.loop.definition import InputDefinition, LabelDefinition, PredictionDefinition
from services.training.domain import population

PREDICTION = PredictionDefinition.model_validate(
    {
        "key": "ref",
        "from": "questions",
        "decision_time": {"column": "planned_ms", "offset": "-1s"},
        "inputs": {
            "place": {"type": "string", "column": "where"},
            "size": {"type": "int64"},
            "weight": {"type": "double"},
        },
        "join_keys": {"all": {"const": "x"}, "place": {"input": "place"}, "ref": {"input": "ref"}},
        "feature_service": "s",
    }
)
LABEL = LabelDefinition.model_validate(
    {"from": "answers", "key": "ref", "value": "good", "kind": "binary", "horizon": "10s"}
)


def accepted(rows: list[dict[str, Any]], columns: dict[str, Any]) -> pa.Table:
    """Return rows with the standard columns of accepted rows."""
    filled = [
        {
            "event_time_ms": 0,
            "arrival_watermark_ms": 0,
            "source_topic": "t",
            "source_partition": 0,
            "source_offset": offset,
            **columns,
            **row,
        }
        for offset, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(filled)


def decisions(*rows: dict[str, Any], start_ms: int = 0, end_ms: int = 100_000) -> population.Decisions:
    columns = {"ref": "a", "planned_ms": 1000, "where": "north", "size": 1, "weight": 1.0}
    return population.decisions_between(accepted(list(rows), columns), PREDICTION, start_ms, end_ms)


def outcomes(*rows: dict[str, Any], end_ms: int = 100_000) -> pa.Table:
    return population.known_outcomes(accepted(list(rows), {"ref": "a", "good": True}), LABEL, end_ms)


def test_the_window_includes_its_start_and_excludes_its_end() -> None:
    rows = [{"ref": str(ms), "planned_ms": ms} for ms in (5999, 6000, 8999, 9000)]
    assert decisions(*rows, start_ms=5000, end_ms=8000).key.to_pylist() == ["6000", "8999"]


def test_rows_come_in_order_of_decision_time_then_key() -> None:
    rows = [{"ref": ref, "planned_ms": ms} for ref, ms in (("c", 3000), ("b", 2000), ("a", 3000))]
    chosen = decisions(*rows)
    assert chosen.key.to_pylist() == ["b", "a", "c"]
    assert chosen.decision_time_ms.to_pylist() == [1000, 2000, 2000]


def test_the_first_visible_row_of_a_key_counts() -> None:
    chosen = decisions(
        {"size": 1, "event_time_ms": 10, "arrival_watermark_ms": 50},
        {"size": 2, "event_time_ms": 20},
        {"size": 3, "event_time_ms": 20},
    )
    assert chosen.rows["size"].to_pylist() == [2]
    assert chosen.repeated == 2


def test_a_row_visible_after_the_windows_end_is_left_out() -> None:
    assert len(decisions({"arrival_watermark_ms": 100_000}).key) == 0


def test_an_outcome_visible_after_the_windows_end_is_left_out() -> None:
    label = population.labels_of(decisions({}), outcomes({"event_time_ms": 5000}, end_ms=5000), 10_000)
    assert np.isnan(label).all()
    late = outcomes({"event_time_ms": 1000, "arrival_watermark_ms": 5000}, end_ms=5000)
    assert np.isnan(population.labels_of(decisions({}), late, 10_000)).all()


def test_an_outcome_after_the_horizon_is_missing_and_not_negative() -> None:
    outcome_table = outcomes({"ref": "a", "event_time_ms": 10_000}, {"ref": "b", "event_time_ms": 10_001})
    label = population.labels_of(decisions({"ref": "a"}, {"ref": "b"}, {"ref": "c"}), outcome_table, 10_000)
    np.testing.assert_array_equal(label, [1.0, np.nan, np.nan])


@pytest.mark.parametrize(
    ("kind", "invalid"), [("binary", [-1.0, 2.0]), ("count", [-1.0, 2.5]), ("regression", [math.inf, 1e300])]
)
def test_a_value_that_the_label_cannot_have_is_no_outcome(kind: str, invalid: list[float]) -> None:
    label = LabelDefinition.model_validate(
        {"from": "answers", "key": "ref", "value": "good", "kind": kind, "horizon": "10s"}
    )
    rows = [{"ref": "a", "good": value} for value in [*invalid, math.nan, 1.0]]
    known = population.known_outcomes(accepted(rows, {}), label, 100_000)
    assert known.to_pylist() == [{"key": "a", "label": 1.0, "outcome_time_ms": 0}]


def test_an_outcome_from_before_the_decision_is_not_its_label() -> None:
    definition = LABEL.model_copy(update={"corrections": timedelta(0)})
    made = decisions({"ref": "a"}, {"ref": "b"})  # decided at 0 ms
    late = decisions({"ref": "a", "planned_ms": 5000}, {"ref": "b"})
    rows = accepted(
        [
            {"ref": "a", "good": False, "event_time_ms": 3999},
            {"ref": "a", "good": True, "event_time_ms": 4000},
            {"ref": "b", "good": True, "event_time_ms": 0},
            {"ref": "c", "good": True, "event_time_ms": 0},
        ],
        {},
    )
    for chosen, expected in ((made, [0.0, 1.0]), (late, [1.0, 1.0])):
        known = population.known_outcomes(rows, definition, 100_000, chosen)
        labels = dict(zip(chosen.key.to_pylist(), population.labels_of(chosen, known, 10_000).tolist(), strict=True))
        assert [labels["a"], labels["b"]] == expected


def test_an_infinite_input_is_missing() -> None:
    rows = pa.table({"weight": [1.0, math.inf, -math.inf, None]})
    values = population.input_column(rows, "weight", InputDefinition(type="double"))
    np.testing.assert_array_equal(values, [1.0, np.nan, np.nan, np.nan])


def test_the_first_visible_outcome_gives_the_time_and_its_correction_the_label() -> None:
    outcome_table = outcomes({"good": False, "event_time_ms": 3000}, {"good": True, "event_time_ms": 12_000})
    assert population.labels_of(decisions({}), outcome_table, 10_000).tolist() == [1.0]


def test_a_null_outcome_is_ignored() -> None:
    outcome_table = outcomes({"good": None, "event_time_ms": 3000}, {"good": True, "event_time_ms": 4000})
    assert population.labels_of(decisions({}), outcome_table, 10_000).tolist() == [1.0]


def test_inputs_come_from_their_columns_with_missing_values_marked() -> None:
    chosen = decisions({"where": None, "size": None, "weight": 2.5}).rows
    assert population.input_column(chosen, "place", PREDICTION.inputs["place"]).tolist() == [""]
    assert np.isnan(population.input_column(chosen, "size", PREDICTION.inputs["size"])).all()
    assert population.input_column(chosen, "weight", PREDICTION.inputs["weight"]).tolist() == [2.5]


def test_join_keys_are_constants_inputs_or_the_key() -> None:
    chosen = decisions({"ref": "k", "where": "south"})
    keys = {name: population.join_key_column(chosen, PREDICTION, name).to_pylist() for name in PREDICTION.join_keys}
    assert keys == {"all": ["x"], "place": ["south"], "ref": ["k"]}


events = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 60), st.integers(0, 60), st.booleans()), min_size=1, max_size=25
)


@given(events, events, st.integers(1, 60))
def test_labels_equal_a_loop_over_the_rows(
    questions: list[tuple[str, int, int, bool]], answers: list[tuple[str, int, int, bool]], end_s: int
) -> None:
    end_ms = end_s * 1000
    rows = [{"ref": ref, "event_time_ms": at * 1000, "planned_ms": ms * 1000} for ref, at, ms, _ in questions]
    outcome_list = [
        {"ref": ref, "event_time_ms": at * 1000, "arrival_watermark_ms": mark * 1000, "good": good}
        for ref, at, mark, good in answers
    ]
    chosen = decisions(*rows, end_ms=end_ms)
    label = population.labels_of(chosen, outcomes(*outcome_list, end_ms=end_ms), 10_000)
    for key, decision_ms, value in zip(chosen.key.to_pylist(), chosen.decision_time_ms.to_pylist(), label, strict=True):
        expected = _label(key, decision_ms, outcome_list, end_ms)
        assert value == expected or (np.isnan(value) and expected is None)


def _label(key: str, decision_ms: int, rows: list[dict[str, Any]], end_ms: int) -> float | None:
    of_key = [
        (max(row["event_time_ms"], row["arrival_watermark_ms"]), index, row)
        for index, row in enumerate(rows)
        if row["ref"] == key
    ]
    visible = sorted((entry for entry in of_key if entry[0] < end_ms), key=lambda entry: entry[:2])
    if not visible:
        return None
    first_ms, _, first = visible[0]
    last = [row for at_ms, _, row in visible if at_ms < first_ms + 10_000][-1]
    return float(last["good"]) if first["event_time_ms"] <= decision_ms + 10_000 else None


@pytest.mark.parametrize(
    ("values", "kind"), [(["bad", None, "", "no class", "good"], pa.string()), ([1, None, -1, 2, 0], pa.int64())]
)
def test_with_classes_the_label_is_the_index_of_a_known_class(values: list[object], kind: pa.DataType) -> None:
    outcome_table = accepted([{"ref": "a", "event_time_ms": at} for at in range(5)], {})
    outcome_table = outcome_table.append_column("good", pa.array(values, kind))
    label = LABEL.model_copy(update={"kind": "multiclass", "classes": ("good", "bad")})
    assert population.known_outcomes(outcome_table.slice(0, 4), label, 100)["label"].to_pylist() == [1.0]
    assert population.known_outcomes(outcome_table, label, 100)["label"].to_pylist() == [0.0]


def outcome_rows(*outcomes: tuple[str, int, bool]) -> pa.Table:
    return accepted([{"ref": key, "event_time_ms": at, "good": value} for key, at, value in outcomes], {})


def test_a_correction_within_its_span_changes_the_label_but_not_the_time() -> None:
    label = LABEL.model_copy(update={"corrections": timedelta(milliseconds=10)})
    rows = outcome_rows(
        ("a", 1, True), ("b", 2, True), ("a", 5, False), ("b", 12, False), ("a", 9, True), ("a", 10, False)
    )
    known = population.known_outcomes(rows, label, 100)
    assert known.to_pydict() == {"key": ["a", "b"], "label": [0.0, 1.0], "outcome_time_ms": [1, 2]}


def test_a_correction_that_is_not_visible_yet_is_ignored() -> None:
    rows = outcome_rows(("a", 1, True), ("a", 50, False))
    assert population.known_outcomes(rows, LABEL, 50)["label"].to_pylist() == [1.0]
    assert population.known_outcomes(rows, LABEL, 51)["label"].to_pylist() == [0.0]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40), st.booleans()), max_size=20), st.integers(0, 15))
def test_labels_equal_processing_outcomes_one_by_one(outcomes: list[tuple[str, int, bool]], span: int) -> None:
    label = LABEL.model_copy(update={"corrections": timedelta(milliseconds=span)})
    first: dict[str, int] = {}
    value: dict[str, float] = {}
    for key, at, good in sorted(outcomes, key=lambda outcome: outcome[1]):
        if key not in first or at < first[key] + span:
            value[key] = float(good)
        first.setdefault(key, at)
    if outcomes:
        known = population.known_outcomes(outcome_rows(*outcomes), label, 100).to_pydict()
        assert dict(zip(known["key"], known["label"], strict=True)) == value
        assert dict(zip(known["key"], known["outcome_time_ms"], strict=True)) == first
