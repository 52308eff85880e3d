from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from driftloop.model.classes import class_index, unknown_class

CLASSES = ("low", "middle", "high")


@given(st.lists(st.sampled_from([*CLASSES, "", "other", None])))
def test_a_string_names_its_class(values: list[str | None]) -> None:
    column = pa.array(values, pa.string())
    assert class_index(column, CLASSES).to_pylist() == [
        float(CLASSES.index(each)) if each in CLASSES else None for each in values
    ]
    assert unknown_class(column, CLASSES).tolist() == [each == "other" for each in values]


@given(st.lists(st.one_of(st.none(), st.integers(-3, 5))), st.sampled_from([pa.int32(), pa.int64()]))
def test_an_integer_is_the_place_of_its_class(values: list[int | None], kind: pa.DataType) -> None:
    column = pa.array(values, kind)
    inside = [each is not None and 0 <= each < 3 for each in values]
    assert class_index(column, CLASSES).to_pylist() == [
        float(each or 0) if ok else None for each, ok in zip(values, inside, strict=True)
    ]
    assert unknown_class(column, CLASSES).tolist() == [
        each is not None and not ok for each, ok in zip(values, inside, strict=True)
    ]


def test_a_class_may_be_called_by_a_number() -> None:
    assert class_index(pa.array(["1", "0"]), ("1", "0")).to_pylist() == [0.0, 1.0]


def test_chunks_and_large_strings_are_taken_too() -> None:
    column = pa.chunked_array([pa.array(["high"], pa.large_string()), pa.array(["low"], pa.large_string())])
    assert class_index(column, CLASSES).to_pylist() == [2.0, 0.0]
