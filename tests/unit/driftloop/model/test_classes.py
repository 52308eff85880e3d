from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from driftloop.model.classes import class_index, unknown_class

CLASSES = ("low", "middle", "high")


@given(st.lists(st.sampled_from([*CLASSES, "", "other", None])))
def test_a_string_is_the_name_of_its_class(values: list[str | None]) -> None:
    column = pa.array(values, pa.string())
    assert class_index(column, CLASSES).to_pylist() == [
        float(CLASSES.index(value)) if value in CLASSES else None for value in values
    ]
    assert unknown_class(column, CLASSES).tolist() == [value == "other" for value in values]


@given(st.lists(st.one_of(st.none(), st.integers(-3, 5))), st.sampled_from([pa.int32(), pa.int64()]))
def test_an_integer_is_the_index_of_its_class(values: list[int | None], kind: pa.DataType) -> None:
    column = pa.array(values, kind)
    inside = [value is not None and 0 <= value < 3 for value in values]
    assert class_index(column, CLASSES).to_pylist() == [
        float(value or 0) if ok else None for value, ok in zip(values, inside, strict=True)
    ]
    assert unknown_class(column, CLASSES).tolist() == [
        value is not None and not ok for value, ok in zip(values, inside, strict=True)
    ]


def test_a_class_name_may_be_a_number() -> None:
    assert class_index(pa.array(["1", "0"]), ("1", "0")).to_pylist() == [0.0, 1.0]


def test_chunks_and_large_strings_are_accepted() -> None:
    column = pa.chunked_array([pa.array(["high"], pa.large_string()), pa.array(["low"], pa.large_string())])
    assert class_index(column, CLASSES).to_pylist() == [2.0, 0.0]
