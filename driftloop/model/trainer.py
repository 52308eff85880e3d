"""Interface between a loop's ``model.py`` and the training service. Imports no framework; a loop brings its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Parameters = Mapping[str, float | int | str | bool]


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Rows in the order of decision time.

    ``numeric`` float64 [n, F] (NaN means missing), ``categorical`` object [n, C] of str (``""`` means missing),
    ``label`` float64 [n], ``decision_time_ms`` int64 [n], ``key`` object [n] of str. Names are those of the columns, in
    order. With ``classes``, the label is an index into them; ``classes`` is empty for other labels.
    """

    numeric: NDArray[np.float64]
    categorical: NDArray[np.object_]
    label: NDArray[np.float64]
    decision_time_ms: NDArray[np.int64]
    key: NDArray[np.object_]
    numeric_names: Sequence[str]
    categorical_names: Sequence[str]
    classes: Sequence[str] = ()

    def rows(self, selection: NDArray[np.bool_] | slice) -> TrainingSet:
        return TrainingSet(
            self.numeric[selection],
            self.categorical[selection],
            self.label[selection],
            self.decision_time_ms[selection],
            self.key[selection],
            self.numeric_names,
            self.categorical_names,
            self.classes,
        )


class Fitted(Protocol):
    """A trained model, including every transform."""

    def predict(self, data: TrainingSet) -> NDArray[np.float64]:
        """Return scores from the training framework: probability or expected value, float64 [n].

        For K classes: the probability of each, float64 [n, K]; each row sums to 1.
        """
        ...

    def to_onnx(self) -> bytes:
        """Return the same function as an ONNX model.

        Inputs ``numeric`` float64 [n, F] and, if C > 0, ``categorical`` string [n, C]; output ``score`` float64 [n, 1],
        or [n, K] for K classes.
        """
        ...


class Trainer(Protocol):
    """Fits a model; created without arguments."""

    def fit(self, train: TrainingSet, validation: TrainingSet, *, parameters: Parameters, seed: int) -> Fitted:
        """Train on ``train``, calibrate on ``validation``. Equal arguments give equal weights."""
        ...
