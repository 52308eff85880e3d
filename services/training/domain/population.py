"""Selects the rows of a run: decisions in its window, with the outcomes known at its end.

Pure functions over Arrow tables with the standard columns of accepted rows. A row whose outcome is missing, late or not
yet visible is left out. It never counts as negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from driftloop.loop.definition import InputDefinition, LabelDefinition, PredictionDefinition, to_ms
from driftloop.model.classes import class_index
from driftloop.model.labels import valid_outcomes

KEY = "key"
DECISION_TIME = "decision_time_ms"
LABEL = "label"
OUTCOME_TIME = "outcome_time_ms"
POSITION = ("source_topic", "source_partition", "source_offset")
TIMES = ("event_time_ms", "arrival_watermark_ms")

_ORDER = "visible_from_ms"


@dataclass(frozen=True, slots=True)
class Decisions:
    """Decisions to predict. All fields have n rows, in order of (decision time, key)."""

    key: pa.Array
    """string"""
    decision_time_ms: pa.Array
    """int64"""
    rows: pa.Table
    """Columns of the prediction's source event."""
    repeated: int
    """Number of dropped rows whose key repeats; the first visible row counts."""

    def select(self, chosen: NDArray[np.bool_]) -> Decisions:
        mask = pa.array(chosen)
        return Decisions(
            self.key.filter(mask), self.decision_time_ms.filter(mask), self.rows.filter(mask), self.repeated
        )


def decisions_between(rows: pa.Table, prediction: PredictionDefinition, start_ms: int, end_ms: int) -> Decisions:
    """Return rows with a decision time in ``[start_ms, end_ms)`` that were visible before ``end_ms``."""
    offset_ms = to_ms(prediction.decision_time.offset)
    decision = pc.add(pc.cast(rows[prediction.decision_time.column], pa.int64()), offset_ms)
    inside = pc.and_(pc.greater_equal(decision, start_ms), pc.less(decision, end_ms))
    chosen = pc.and_(inside, _visible_before(rows, end_ms))
    rows, decision = rows.filter(chosen), decision.filter(chosen)
    key = pc.cast(rows[prediction.key], pa.string())
    first = _first_per_key(key, rows)
    order = pc.sort_indices(
        pa.table({DECISION_TIME: decision.take(first), KEY: key.take(first)}),
        sort_keys=[(DECISION_TIME, "ascending"), (KEY, "ascending")],
    )
    first = first.take(order)
    return Decisions(
        key=_combined(key.take(first)),
        decision_time_ms=_combined(decision.take(first)),
        rows=rows.take(first),
        repeated=rows.num_rows - len(first),
    )


def known_outcomes(rows: pa.Table, label: LabelDefinition, end_ms: int, decisions: Decisions | None = None) -> pa.Table:
    """Return the outcomes known at ``end_ms``: ``key`` string, ``label`` float64, ``outcome_time_ms`` int64.

    If a key has several outcomes, the first visible one gives the time. The last one that became visible less than
    ``label.correction_span`` after it gives the label. With classes, the label is the index in ``label.classes``. Rows
    whose outcome is not a value of the label are left out; ingestion refuses them, but older versions did not. So are
    those from before the decision about their key, if ``decisions`` are given, as in monitoring.
    """
    rows = rows.filter(_visible_before(rows, end_ms))
    if decisions is not None:
        rows = rows.filter(_after_decision(rows, label, decisions))
    if label.classes:
        index = rows.column_names.index(label.value)
        rows = rows.set_column(index, label.value, class_index(rows[label.value], label.classes))
    values = _floats(_number(rows[label.value]))
    rows = rows.filter(pa.array(valid_outcomes(label.kind, values, len(label.classes))))
    key = pc.cast(rows[label.key], pa.string())
    first, last = _first_and_last_per_key(key, rows, to_ms(label.correction_span))
    return pa.table(
        {
            KEY: key.take(first),
            LABEL: _number(rows[label.value].take(last)),
            OUTCOME_TIME: pc.cast(rows["event_time_ms"].take(first), pa.int64()),
        }
    )


def _after_decision(rows: pa.Table, label: LabelDefinition, decisions: Decisions) -> pa.ChunkedArray:
    """Return which outcomes are not from before the decision about their key; they say nothing about it."""
    at = pc.index_in(pc.cast(rows[label.key], pa.string()), value_set=decisions.key)
    return pc.fill_null(pc.greater_equal(rows["event_time_ms"], decisions.decision_time_ms.take(at)), True)


def labels_of(decisions: Decisions, outcomes: pa.Table, horizon_ms: int) -> NDArray[np.float64]:
    """Return the label of each row, float64 [n]; NaN if no outcome within the horizon is known."""
    outcomes = outcomes.take(pc.index_in(decisions.key, value_set=outcomes[KEY].combine_chunks()))
    label = _floats(outcomes[LABEL])
    late = pc.greater(outcomes[OUTCOME_TIME], pc.add(pa.chunked_array([decisions.decision_time_ms]), horizon_ms))
    return np.where(pc.fill_null(late, True).to_numpy(zero_copy_only=False), np.nan, label)


def input_column(rows: pa.Table, name: str, declared: InputDefinition) -> NDArray[np.float64] | NDArray[np.object_]:
    """Return a request input for the model: float64 [n] with NaN, or object [n] of str with "", if missing."""
    column = rows[declared.column or name]
    if declared.type == "string":
        return np.asarray(pc.fill_null(pc.cast(column, pa.string()), "").to_numpy(), dtype=object)
    return _floats(_number(column))


def join_key_column(decisions: Decisions, prediction: PredictionDefinition, name: str) -> pa.Array:
    """Return a join key of the feature service: a constant, the prediction key, or an input's column."""
    source = prediction.join_keys[name]
    if source.input is None:
        return pa.array([source.const] * len(decisions.key), pa.string())
    if source.input in prediction.inputs:
        column = prediction.inputs[source.input].column or source.input
        return _combined(decisions.rows[column])
    return _combined(decisions.rows[prediction.key])


def columns_of(prediction: PredictionDefinition) -> tuple[str, ...]:
    """Return the columns of the prediction's source event that a run reads."""
    inputs = [declared.column or name for name, declared in prediction.inputs.items()]
    names = [prediction.key, prediction.decision_time.column, *inputs, *TIMES, *POSITION]
    return tuple(dict.fromkeys(names))


def outcome_columns_of(label: LabelDefinition) -> tuple[str, ...]:
    """Return the columns of the outcome event that a run reads."""
    return tuple(dict.fromkeys([label.key, label.value, *TIMES, *POSITION]))


def _visible_before(rows: pa.Table, end_ms: int) -> pa.ChunkedArray:
    return pc.less(_visible_from(rows), end_ms)


def _visible_from(rows: pa.Table) -> pa.ChunkedArray:
    return pc.max_element_wise(*(pc.cast(rows[name], pa.int64()) for name in TIMES))


def _first_per_key(key: pa.ChunkedArray, rows: pa.Table) -> pa.Array:
    """Return the index of each key's first visible row, in order of visibility; ties by topic position."""
    order, codes = _visibility_order(key, rows)
    _, first = np.unique(codes, return_index=True)
    return order.take(pa.array(np.sort(first), pa.int64()))


def _first_and_last_per_key(key: pa.ChunkedArray, rows: pa.Table, span_ms: int) -> tuple[pa.Array, pa.Array]:
    """Return `_first_per_key`, and the index of each key's last row visible less than ``span_ms`` after its first."""
    order, codes = _visibility_order(key, rows)
    visible = _visible_from(rows).take(order).to_numpy()
    _, first = np.unique(codes, return_index=True)
    first = np.sort(first)
    key_of_code = np.empty(len(first), dtype=np.int64)
    key_of_code[codes[first]] = np.arange(len(first))
    last, key_of_row = first.copy(), key_of_code[codes]
    within_span = np.flatnonzero(visible < visible[first][key_of_row] + span_ms)
    np.maximum.at(last, key_of_row[within_span], within_span)
    return order.take(pa.array(first, pa.int64())), order.take(pa.array(last, pa.int64()))


def _visibility_order(key: pa.ChunkedArray, rows: pa.Table) -> tuple[pa.Array, NDArray[np.int64]]:
    """Return row indices in order of visibility, and in that order an int64 [n] code per key."""
    order = pc.sort_indices(
        pa.table({_ORDER: _visible_from(rows), **{name: rows[name] for name in POSITION}}),
        sort_keys=[(name, "ascending") for name in (_ORDER, *POSITION)],
    )
    codes = pc.dictionary_encode(key.take(order))
    codes = codes.combine_chunks() if isinstance(codes, pa.ChunkedArray) else codes
    return order, np.asarray(codes.indices.to_numpy(zero_copy_only=False), dtype=np.int64)


def _number(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.int8())
    return pc.cast(column, pa.float64())


def _floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    numbers = np.asarray(pc.fill_null(column, float("nan")).to_numpy(), dtype=np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _combined(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
