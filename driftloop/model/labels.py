"""Which values an outcome may have, by kind of label.

Ingestion refuses others. Rows of older versions may still hold them, so monitoring and training ignore them too, and
their loss is NaN: a binary label of 2 would make losses below zero, which look better than any model.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from driftloop.model.scores import Floats
from driftloop.process.limits import LARGEST

LabelKind = Literal["binary", "regression", "count", "multiclass"]

_ALLOWED: dict[LabelKind, str] = {
    "binary": "0 or 1",
    "regression": f"a finite number from -{LARGEST:g} to {LARGEST:g}",
    "count": f"a whole number from 0 to {LARGEST:g}",
    "multiclass": "the index of a class",
}


def valid_outcomes(kind: LabelKind, values: Floats, classes: int = 0) -> NDArray[np.bool_]:
    """Return which outcomes, float64 [n], are values of the label, bool [n]. A missing outcome (NaN) is not.

    ``classes``: number of classes of a `multiclass` label, whose outcomes are class indices.
    """
    if kind == "binary":
        return np.asarray((values == 0) | (values == 1))
    if kind == "regression":
        return np.asarray(np.abs(values) <= LARGEST)
    limit = classes - 1 if kind == "multiclass" else LARGEST
    return np.asarray((values >= 0) & (values <= limit) & (values == np.floor(values)))


def allowed_outcomes(kind: LabelKind) -> str:
    """Return the values that an outcome may have, for messages."""
    return _ALLOWED[kind]
