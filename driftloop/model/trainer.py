"""What a loop's ``model.py`` gives the training service. Imports no framework: a loop brings its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Parameters = Mapping[str, float | int | str | bool]


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Rows in order of decision time.

    ``numeric`` float64 [n, F] (NaN is missing), ``categorical`` object [n, C] of str (``""`` is missing), ``label``
    float64 [n], ``decision_time_ms`` int64 [n], ``key`` object [n] of str. Names are those of the columns, in order.
    ``classes`` are those of a multiclass label, which is then the class's place among them; else there are none.
    """

    numeric: NDArray[np.float64]
    categorical: NDArray[np.object_]
    label: NDArray[np.float64]
    decision_time_ms: NDArray[np.int64]
    key: NDArray[np.object_]
    numeric_names: Sequence[str]
    categorical_names: Sequence[str]
    classes: Sequence[str] = ()

    def rows(self, chosen: NDArray[np.bool_] | slice) -> TrainingSet:
        """A part of the rows."""
        return TrainingSet(
            self.numeric[chosen],
            self.categorical[chosen],
            self.label[chosen],
            self.decision_time_ms[chosen],
            self.key[chosen],
            self.numeric_names,
            self.categorical_names,
            self.classes,
        )


class Fitted(Protocol):
    """A trained model, every transform included."""

    def predict(self, data: TrainingSet) -> NDArray[np.float64]:
        """Scores in the training framework: probability or expected value, float64 [n].

        Of K classes the probability of each, float64 [n, K], with the sum 1 in each row.
        """
        ...

    def to_onnx(self) -> bytes:
        """The same function as an ONNX model.

        Inputs ``numeric`` float64 [n, F] and, where C > 0, ``categorical`` string [n, C];
        output ``score`` float64 [n, 1], or [n, K] of K classes.
        """
        ...


@runtime_checkable
class ImportedModel(Protocol):
    """A model that was fitted elsewhere."""

    def manifest(self) -> Mapping[str, Any]:
        """Where it came from: strings, numbers and maps of them, for the bundle's manifest."""
        ...


class Trainer(Protocol):
    """Fits a model; made with no arguments."""

    def fit(self, train: TrainingSet, validation: TrainingSet, *, parameters: Parameters, seed: int) -> Fitted:
        """Train on the one, calibrate on the other. The same arguments give the same weights."""
        ...
