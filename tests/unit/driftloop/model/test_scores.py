from __future__ import annotations

import numpy as np
import pytest

from driftloop.model.scores import as_scores, confidence, finite_rows


def test_one_number_a_row_is_flat_and_one_a_class_is_not() -> None:
    assert as_scores(np.zeros((3, 1)), 3, 0).shape == (3,)
    assert as_scores(np.zeros((3, 2)), 3, 2).shape == (3, 2)


@pytest.mark.parametrize(("shape", "classes"), [((3, 2), 0), ((2, 3), 2), ((6,), 2), ((3, 1), 2)])
def test_another_shape_is_refused(shape: tuple[int, ...], classes: int) -> None:
    with pytest.raises(ValueError, match="shape"):
        as_scores(np.zeros(shape), 3, classes)


def test_one_number_stands_for_a_row() -> None:
    assert confidence(np.array([0.2, 0.4])).tolist() == [0.2, 0.4]
    assert confidence(np.array([[0.2, 0.8], [0.6, 0.4]])).tolist() == [0.8, 0.6]


def test_a_row_is_finite_where_all_of_it_is() -> None:
    assert finite_rows(np.array([1.0, np.nan])).tolist() == [True, False]
    assert finite_rows(np.array([[1.0, 2.0], [np.inf, 0.0]])).tolist() == [True, False]
