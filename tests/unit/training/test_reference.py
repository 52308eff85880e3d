from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.training.domain.reference import BINS, histogram, reference

values = st.lists(
    st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0, float("nan"), float("inf"), -float("inf")])),
    max_size=200,
)


@given(values)
def test_every_value_is_counted_once_on_an_ascending_grid(column: list[float]) -> None:
    bins = histogram(np.array(column, dtype=float))
    assert sum(bins.counts) + bins.missing == len(column)
    assert bins.missing == sum(~np.isfinite(column))
    assert np.isfinite(bins.edges).all()
    assert len(bins.counts) == len(bins.edges) + 1 <= BINS
    assert list(bins.edges) == sorted(set(bins.edges))
    assert all(bins.counts) or not sum(bins.counts)


def test_bins_of_a_smooth_column_have_equal_counts() -> None:
    assert histogram(np.arange(1000.0)).counts == (100,) * 10


def test_a_bin_includes_its_lower_edge() -> None:
    bins = histogram(np.array([0.0] * 9 + [1.0] * 11))
    assert (bins.edges, bins.counts) == ((1.0,), (9, 11))


def test_a_constant_column_has_one_open_bin() -> None:
    assert histogram(np.full(5, 2.0)).counts == (5,)


def test_the_file_names_each_input_and_the_score() -> None:
    data = json.loads(reference(np.array([[1.0, np.nan], [2.0, 5.0]]), ["a", "b"], np.array([0.1, 0.2])))
    assert data["format"] == 1
    assert data["inputs"]["b"] == {"counts": [1], "edges": [], "missing": 1}
    assert sum(data["score"]["counts"]) == 2
