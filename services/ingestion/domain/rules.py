"""Applies a loop's rules to columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from driftloop.loop.definition import FieldRule
from driftloop.process.limits import END_OF_TIME_MS
from services.ingestion.domain.rejection import Rejection
from services.ingestion.domain.schema import Column, EventSchema

Mask = NDArray[np.bool_]


class Rules:
    """Checks rows of one event type: id, key and time present, then each field's rule, in the order of the fields."""

    def __init__(self, schema: EventSchema) -> None:
        self._schema = schema
        required = {schema.id, schema.key}
        self._rules = [
            (column, rule.model_copy(update={"required": True}) if column.name in required else rule)
            for column in schema.columns
            if column.name != schema.time or column.name in schema.rules
            for rule in [schema.rule(column.name)]
            if column.name in required or column.name in schema.rules or pa.types.is_floating(column.type)
        ]

    def check(self, rows: pa.RecordBatch) -> list[Rejection]:
        """Return the first fault of each faulty row, by row."""
        broken: dict[int, Rejection] = {}
        self._check_time(rows.column(self._schema.time), broken)
        for column, rule in self._rules:
            array = rows.column(column.name)
            if not extremes_satisfy(column, rule, array):
                check_field(column, rule, array, broken)
        return [broken[row] for row in sorted(broken)]

    def _check_time(self, array: pa.Array, broken: dict[int, Rejection]) -> None:
        name = self._schema.time
        times = _numbers(array)
        _note(times == 0, "missing", lambda _: f"{name} is missing", broken)
        outside = (times < 0) | (times >= END_OF_TIME_MS)
        _note(outside, "invalid-time", lambda row: f"{name}: {times[row]} is not a time from 1970 to 9999", broken)


def extremes_satisfy(column: Column, rule: FieldRule, array: pa.Array) -> bool:
    """Return whether all rows satisfy the rule, by their extremes if possible; most batches have no fault."""
    if array.null_count:
        if rule.required:
            return False
        array = array.drop_null()
    if not len(array):
        return True
    if column.is_string:
        return _keep_text(column, rule, array)
    if pa.types.is_floating(column.type) and not rule.allow_non_finite and not np.isfinite(_numbers(array)).all():
        return False
    return _keep_range(rule, array)


def _keep_text(column: Column, rule: FieldRule, array: pa.Array) -> bool:
    lengths = _byte_lengths(array)
    if rule.required and not column.optional and not lengths.min():
        return False
    if rule.max_length is not None and lengths.max() > rule.max_length:  # no more characters than bytes
        return False
    return rule.enum is None or set(array.unique().to_pylist()) <= set(rule.enum)


def _keep_range(rule: FieldRule, array: pa.Array) -> bool:
    if rule.min is None and rule.max is None:
        return True
    values = _numbers(array)
    # either comparison fails on a NaN
    above = rule.min is None or bool(values.min() >= rule.min)
    return above and (rule.max is None or bool(values.max() <= rule.max))


def _byte_lengths(array: pa.Array) -> NDArray[np.int32]:
    ends = np.frombuffer(array.buffers()[1], np.int32)[array.offset : array.offset + len(array) + 1]
    lengths: NDArray[np.int32] = np.diff(ends)
    return lengths


def check_field(column: Column, rule: FieldRule, array: pa.Array, broken: dict[int, Rejection]) -> None:
    """Add the rows that break the rule to ``broken``, unless an earlier rule is there."""
    absent = _absent(column, array)
    name = column.name
    if rule.required:
        _note(absent, "missing", lambda _: f"{name} is missing", broken)
    if rule.min is not None or rule.max is not None:
        _check_range(name, rule, array, absent, broken)
    if not rule.allow_non_finite:
        broken.update({fault.row: fault for fault in non_finite(name, array) if fault.row not in broken})
    if rule.enum is not None:
        listed = _mask(pc.is_in(array, value_set=pa.array(rule.enum, pa.string())))
        _note(
            ~listed & ~absent,
            "not-in-enum",
            lambda row: f"{name}: {_shown(array, row)} is not one of {rule.enum}",
            broken,
        )
    if rule.max_length is not None:
        long = _numbers(pc.utf8_length(array)) > rule.max_length
        _note(long, "too-long", lambda _: f"{name}: longer than {rule.max_length} characters", broken)


def _check_range(name: str, rule: FieldRule, array: pa.Array, absent: Mask, broken: dict[int, Rejection]) -> None:
    values = _numbers(array)
    inside = np.ones(len(values), dtype=bool)
    if rule.min is not None:
        inside &= values >= rule.min
    if rule.max is not None:
        inside &= values <= rule.max
    bounds = f"[{'' if rule.min is None else rule.min}, {'' if rule.max is None else rule.max}]"
    # a NaN is in no range
    _note(~inside & ~absent, "out-of-range", lambda row: f"{name}: {values[row]} is not in {bounds}", broken)


def non_finite(name: str, array: pa.Array) -> list[Rejection]:
    """Return the rows with NaN or infinity in a column of floating-point numbers."""
    if not pa.types.is_floating(array.type):
        return []
    values = _numbers(array)
    advice = "send a finite number or leave the field out; `allow_non_finite: true` in the event's rules accepts it"
    return [
        Rejection(row, "non-finite", f"{name}: {values[row]} is not a finite number; {advice}")
        for row in np.flatnonzero(~np.isfinite(values)).tolist()
    ]


def _absent(column: Column, array: pa.Array) -> Mask:
    """Return the mask of absent values: null, or empty for a string without `optional`."""
    if column.optional and array.null_count:
        return _mask(array.is_null())
    if column.is_string and not column.optional:
        empty: Mask = _numbers(pc.binary_length(array)) == 0
        return empty
    return np.zeros(len(array), dtype=bool)


def _numbers(array: pa.Array) -> NDArray[Any]:
    """Return the values, 0 for null."""
    values: NDArray[Any] = (array.fill_null(0) if array.null_count else array).to_numpy()
    return values


def _mask(array: pa.Array) -> Mask:
    mask: Mask = array.to_numpy(zero_copy_only=False)
    return mask


def _note(bad: Mask, reason: str, detail: Callable[[int], str], broken: dict[int, Rejection]) -> None:
    if not bad.any():
        return
    for row in np.flatnonzero(bad).tolist():
        if row not in broken:
            broken[row] = Rejection(row, reason, detail(row))


def _shown(array: pa.Array, row: int) -> str:
    value: Any = array[row].as_py()
    return repr(value)[:80]
