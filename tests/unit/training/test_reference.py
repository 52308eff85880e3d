from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.domain.reference import BINS, VALUES, Histogram, categorical_histogram, histogram, reference

values = st.lists(
    st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0, float("nan"), float("inf"), -float("inf")])),
    max_size=200,
)


def bins_of(bins: Histogram, *numbers: float) -> list[int]:
    return [int(number) for number in np.searchsorted(bins.edges, numbers, side="right")]


@given(values)
def test_every_value_is_counted_once_on_an_ascending_grid(column: list[float]) -> None:
    bins = histogram(np.array(column, dtype=float))
    assert sum(bins.counts) + bins.missing == len(column)
    assert bins.missing == sum(~np.isfinite(column))
    assert np.isfinite(bins.edges).all()
    assert len(bins.counts) == len(bins.edges) + 1
    assert sum(count > 0 for count in bins.counts) <= 2 * BINS
    assert list(bins.edges) == sorted(set(bins.edges))


def test_bins_of_a_smooth_column_have_equal_counts() -> None:
    assert histogram(np.arange(1000.0)).counts == (100,) * 10


def test_a_column_of_few_rows_is_not_taken_for_one_of_few_values() -> None:
    assert histogram(np.arange(10.0)).counts == (1,) * 10


@pytest.mark.parametrize("column", [[0.0] * 50, [2.5] * 50, [-1e300] * 50, [5e-324] * 50])
def test_a_constant_column_has_bins_below_and_above_its_value(column: list[float]) -> None:
    bins = histogram(np.array(column))
    assert bins.counts == (0, 50, 0)
    assert bins_of(bins, -np.inf, column[0], np.inf) == [0, 1, 2]


@pytest.mark.parametrize("rare", [50, 10, 300])
def test_few_values_have_a_bin_each_and_one_for_all_between_and_around_them(rare: int) -> None:
    bins = histogram(np.array([0.0] * 950 + [1.0] * rare))
    assert bins.counts == (0, 950, 0, rare, 0)
    assert bins_of(bins, -1, -1e-3, 0, 1e-3, 0.5, 1, 1.001, 9) == [0, 0, 1, 2, 2, 3, 4, 4]


def test_a_value_that_differs_in_its_last_bits_is_the_same_value() -> None:
    bins = histogram(np.array([0.3] * 50 + [0.7] * 50))
    assert bins_of(bins, 0.1 + 0.2, 0.7 - 1e-16) == bins_of(bins, 0.3, 0.7)


def test_values_next_to_each_other_keep_bins_of_their_own() -> None:
    low = 1e6
    high = low + 1e-9
    bins = histogram(np.array([low] * 50 + [high] * 50))
    assert bins_of(bins, low) != bins_of(bins, high)


@pytest.mark.parametrize("zeros", [600, 950, 995])
def test_a_column_that_is_mostly_one_value_separates_it_from_the_rest(zeros: int) -> None:
    rest = 1000 - zeros
    bins = histogram(np.concatenate([np.zeros(zeros), np.linspace(0.5, 5, rest)]))
    assert bins.counts[:2] == (0, zeros)
    assert sum(bins.counts[2:]) == rest
    assert len(bins.counts) - 2 == max(1, round(rest / 100))
    top = histogram(np.concatenate([np.linspace(0, 9, rest), np.full(zeros, 10.0)]))
    assert bins_of(top, 10)[0] < bins_of(top, 16_000)[0]


def test_quantile_bins_remain_where_no_bin_holds_more_than_half_of_the_rows() -> None:
    bins = histogram(np.concatenate([np.zeros(300), np.linspace(1, 70, 700)]))
    assert max(bins.counts) < 500
    assert len(bins.counts) <= BINS
    assert all(bins.counts)


def test_text_is_counted_by_value_and_rare_values_together() -> None:
    column = np.array(["b"] * 3 + ["a"] * 5 + [""] * 2, dtype=object)
    bins = categorical_histogram(column)
    assert (bins.values, bins.counts, bins.other, bins.missing) == (("a", "b"), (5, 3), 0, 2)
    many = np.array([f"v{number:03}" for number in range(100)] + ["often"] * 9, dtype=object)
    bins = categorical_histogram(many)
    assert len(bins.values) == VALUES
    assert (bins.counts[bins.values.index("often")], bins.other, bins.missing) == (9, 100 - VALUES + 1, 0)


def test_the_file_names_each_input_and_the_score() -> None:
    data: dict[str, Any] = json.loads(
        reference(np.array([[1.0, np.nan], [2.0, 5.0]]), ["a", "b"], np.array([0.1, 0.2]))
    )
    assert data["format"] == 1
    assert data["inputs"]["b"] == {"counts": [1], "edges": [], "missing": 1}
    assert sum(data["score"]["counts"]) == 2
    assert "categorical" not in data


def test_the_file_has_a_histogram_of_each_categorical_input() -> None:
    rows = np.array([["x", "p"], ["x", ""]], dtype=object)
    data = json.loads(reference(np.zeros((2, 0)), [], np.array([0.1, 0.2]), rows, ["c", "d"]))
    assert data["categorical"] == {
        "c": {"values": ["x"], "counts": [2], "other": 0, "missing": 0},
        "d": {"values": ["p"], "counts": [1], "other": 0, "missing": 1},
    }
