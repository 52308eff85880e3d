"""A batch is first told to keep a rule by its extremes; that must never let a fault through."""

from __future__ import annotations

import math

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from driftloop.loop.definition import FieldRule
from services.ingestion.domain.rejection import Rejection
from services.ingestion.domain.rules import check_field, extremes_satisfy
from services.ingestion.domain.schema import Column

TEXTS = st.sampled_from(["", "a", "bc", "def", "éé", "日本"])
NUMBERS = st.sampled_from([-2.0, -0.0, 0.0, 1.0, 2.5, math.nan, math.inf])
BOUNDS = st.none() | st.sampled_from([-1.0, 0.0, 1.0, 2.0])
FLAGS = st.booleans()


def faults(column: Column, rule: FieldRule, array: pa.Array) -> list[int]:
    broken: dict[int, Rejection] = {}
    check_field(column, rule, array, broken)
    return sorted(broken)


@st.composite
def texts(draw: st.DrawFn) -> tuple[Column, FieldRule, pa.Array]:
    optional = draw(FLAGS)
    rows = draw(st.lists(TEXTS | st.none() if optional else TEXTS, max_size=6))
    enum = draw(st.none() | st.just(("a", "bc")))
    rule = FieldRule(required=draw(FLAGS), enum=enum, max_length=draw(st.none() | st.integers(1, 4)))
    array = pa.array(["x", *rows], pa.string()).slice(1)  # as a part of a longer column
    return Column("word", pa.string(), None if optional else ""), rule, array


@st.composite
def numbers(draw: st.DrawFn) -> tuple[Column, FieldRule, pa.Array]:
    optional = draw(FLAGS)
    rows = draw(st.lists(NUMBERS | st.none() if optional else NUMBERS, max_size=6))
    low, high = sorted([draw(BOUNDS), draw(BOUNDS)], key=lambda bound: -9.0 if bound is None else bound)
    rule = FieldRule(required=draw(FLAGS), min=low, max=high)
    return Column("number", pa.float64(), None if optional else 0.0), rule, pa.array(rows, pa.float64())


@settings(max_examples=200)
@given(texts() | numbers())
def test_if_the_extremes_keep_a_rule_every_row_keeps_it(case: tuple[Column, FieldRule, pa.Array]) -> None:
    if extremes_satisfy(*case):
        assert faults(*case) == []


def test_extremes_decide_for_rows_without_problems() -> None:
    word, number = Column("word", pa.string(), ""), Column("number", pa.float64(), None)
    assert extremes_satisfy(word, FieldRule(required=True, enum=("a", "bc"), max_length=2), pa.array(["a", "bc", "a"]))
    assert extremes_satisfy(number, FieldRule(min=0, max=1), pa.array([0.0, None, 1.0]))
    assert not extremes_satisfy(number, FieldRule(min=0), pa.array([math.nan, 1.0]))
