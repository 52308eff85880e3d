"""Scores rows with a bundle's ONNX model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from driftloop.model.bundle import MODEL, Bundle
from driftloop.model.golden import read_golden
from driftloop.model.labels import LabelKind
from driftloop.model.onnx_session import ONNX_ERRORS, open_session
from driftloop.model.scores import Floats, as_scores
from driftloop.process.errors import BundleError
from services.evaluation.ports import Objects

_ROWS_AT_ONCE = 8192


class OnnxScorer:
    """`services.evaluation.ports.Scorer` over a bundle's ``model.onnx``, on one thread."""

    def __init__(self, bundle: Bundle) -> None:
        try:
            self._session = open_session(bundle.read(MODEL))
        except ONNX_ERRORS as error:
            raise BundleError(f"{bundle.folder / MODEL} is not an ONNX model: {error}") from error
        self._bundle = bundle

    @property
    def kind(self) -> LabelKind:
        return self._bundle.manifest.label_kind

    @property
    def classes(self) -> Sequence[str]:
        return self._bundle.manifest.classes

    @property
    def numeric(self) -> Sequence[str]:
        return [number.name for number in self._bundle.manifest.numeric]

    @property
    def categorical(self) -> Sequence[str]:
        return [string.name for string in self._bundle.manifest.categorical]

    def score(self, numeric: Floats, categorical: Objects) -> Floats:
        parts = [
            self._run(numeric[start : start + _ROWS_AT_ONCE], categorical[start : start + _ROWS_AT_ONCE])
            for start in range(0, len(numeric), _ROWS_AT_ONCE)
        ]
        return np.concatenate(parts) if parts else np.empty((0, len(self.classes)) if self.classes else 0)

    def golden_difference(self) -> float:
        numeric, categorical, expected = read_golden(self._bundle)
        difference = np.abs(self.score(numeric, categorical) - expected) / np.maximum(1.0, np.abs(expected))
        return float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0))

    def _run(self, numeric: Floats, categorical: Objects) -> Floats:
        inputs: dict[str, Any] = {"numeric": numeric, "categorical": categorical}
        try:
            feed = {value.name: inputs[value.name] for value in self._session.get_inputs()}
            (score,) = self._session.run(["score"], feed)
            return as_scores(score, len(numeric), len(self.classes))
        except (KeyError, *ONNX_ERRORS) as error:
            raise BundleError(f"{self._bundle.folder / MODEL} refuses its inputs: {error}") from error
