from __future__ import annotations

import numpy as np
import pytest

from driftloop.model.scores import as_scores, confidence, finite_rows


def test_scalar_scores_are_flat_and_class_scores_are_not() -> None:
    assert as_scores(np.zeros((3, 1)), 3, 0).shape == (3,)
    assert as_scores(np.zeros((3, 2)), 3, 2).shape == (3, 2)


@pytest.mark.parametrize(("shape", "classes"), [((3, 2), 0), ((2, 3), 2), ((6,), 2), ((3, 1), 2)])
def test_another_shape_is_refused(shape: tuple[int, ...], classes: int) -> None:
    with pytest.raises(ValueError, match="shape"):
        as_scores(np.zeros(shape), 3, classes)


def test_confidence_is_one_number_per_row() -> None:
    assert confidence(np.array([0.2, 0.4])).tolist() == [0.2, 0.4]
    assert confidence(np.array([[0.2, 0.8], [0.6, 0.4]])).tolist() == [0.8, 0.6]


def test_a_row_is_finite_if_all_its_scores_are() -> None:
    assert finite_rows(np.array([1.0, np.nan])).tolist() == [True, False]
    assert finite_rows(np.array([[1.0, 2.0], [np.inf, 0.0]])).tolist() == [True, False]
