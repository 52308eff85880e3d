"""An imported model that takes the place of a trained one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from driftloop.model.bundle import Input
from driftloop.model.labels import LabelKind
from driftloop.model.onnx_session import ONNX_ERRORS, first_line, open_session
from driftloop.model.scores import Floats
from driftloop.model.trainer import TrainingSet
from services.training.domain.matching import INTEGERS, TEXT, Mismatch
from services.training.errors import ModelError
from services.training.importing.graph import NUMPY_TYPES, Graph, open_graph
from services.training.importing.wrap import wrap
from services.training.spec import ImportSpec

_SUM_TOLERANCE = 1e-3
"""Largest difference of a row's probability sum from 1, which allows for single precision."""
_ROUNDING = 1e-6


@dataclass(frozen=True)
class ImportedModel:
    """`driftloop.model.trainer.Fitted` over an imported graph."""

    origin: ImportSpec
    graph: Graph
    kind: LabelKind
    numeric: tuple[Input, ...]
    categorical: tuple[Input, ...]
    fills: Mapping[str, float]
    """Replacement for a missing number, by the loop's input name."""
    session: onnxruntime.InferenceSession

    def predict(self, data: TrainingSet) -> Floats:
        """Return the scores of the imported graph, float64 [n], or [n, K] with K classes.

        Raises:
            ModelError: the graph fails, or its values are not scores of the label's kind.
        """
        plan = self.origin.plan
        try:
            values = self.run(data)
        except ONNX_ERRORS as error:
            raise ModelError(f"the model failed: {first_line(error)}") from error
        columns = _apply_link(values.reshape(len(data.key), -1).astype(np.float64), plan.link)
        score = columns[:, list(plan.score_columns)]
        _check_scores(self.kind, score, plan.output)
        if self.kind == "multiclass":
            return np.asarray(score / score.sum(axis=1, keepdims=True))
        return np.asarray(score[:, 0])

    def to_onnx(self) -> bytes:
        return wrap(self.graph.model, self.graph.inputs, self.origin.plan, self.numeric, self.categorical, self.fills)

    def manifest(self) -> dict[str, Any]:
        """Return the origin of the model, for the bundle's manifest."""
        plan = self.origin.plan
        return {
            "source": self.origin.source,
            "sha256": self.origin.sha256,
            "inputs": {name: list(columns) for name, columns in plan.inputs},
            "output": plan.output,
            "score_columns": list(plan.score_columns),
            "link": plan.link,
            "fills": dict(self.fills),
        }

    def run(self, data: TrainingSet) -> NDArray[Any]:
        """Return the graph's own output for the loop's rows; raise one of `ONNX_ERRORS`."""
        numbers = dict(zip(data.numeric_names, data.numeric.T, strict=True))
        strings = dict(zip(data.categorical_names, data.categorical.T, strict=True))
        columns_of = dict(self.origin.plan.inputs)
        feed: dict[str, NDArray[Any]] = {}
        for tensor in self.graph.inputs:
            columns = strings if tensor.dtype == TEXT else numbers
            names = columns_of[tensor.name]
            values = np.column_stack([_fill(columns[name], self.fills.get(name)) for name in names])
            if tensor.shape is not None and len(tensor.shape) == 1:
                values = values[:, 0]
            feed[tensor.name] = values if tensor.dtype == TEXT else values.astype(NUMPY_TYPES[tensor.dtype])
        return np.asarray(self.session.run([self.origin.plan.output], feed)[0])


def load_imported_model(
    origin: ImportSpec,
    rows: TrainingSet,
    inputs: tuple[tuple[Input, ...], tuple[Input, ...]],
    kind: LabelKind,
    threads: int,
) -> ImportedModel:
    """Load an imported model. ``rows`` are the loop's; ``inputs`` are its numeric and its string inputs.

    Missing numbers are replaced by their median over ``rows`` if the model takes integers, which cannot be missing, or
    if its scores are not finite when numbers are missing.

    Raises:
        ModelError: the file is missing, has changed, or cannot be run.
    """
    try:
        graph = open_graph(_content(origin))
    except Mismatch as error:
        raise ModelError(f"{origin.source}: {error}") from error
    session = open_session(bytes(graph.model.SerializeToString()), threads)
    model = ImportedModel(origin, graph, kind, *inputs, {}, session)
    if not any(tensor.dtype in INTEGERS for tensor in graph.inputs) and _accepts_missing(model, rows):
        return model
    columns_of = dict(origin.plan.inputs)
    numbers = {name for tensor in graph.inputs if tensor.dtype != TEXT for name in columns_of[tensor.name]}
    return replace(model, fills=_medians(rows, numbers))


def _content(origin: ImportSpec) -> bytes:
    try:
        content = Path(origin.path).read_bytes()
    except OSError as error:
        raise ModelError(f"{origin.path}: {error.strerror}; import the model again") from error
    if hashlib.sha256(content).hexdigest() != origin.sha256:
        raise ModelError(f"{origin.path} is not the file that was imported; import the model again")
    return content


def _accepts_missing(model: ImportedModel, rows: TrainingSet) -> bool:
    """Return whether the scores are finite when all numbers are missing."""
    first = rows.rows(slice(0, 1))
    try:
        values = model.run(replace(first, numeric=np.full_like(first.numeric, np.nan)))
    except ONNX_ERRORS:
        return False
    return bool(np.isfinite(values).all())


def _medians(rows: TrainingSet, names: set[str]) -> dict[str, float]:
    """Return the median of each name over the rows that have it, or 0 if no row has it."""
    medians = {}
    for name, column in zip(rows.numeric_names, rows.numeric.T, strict=True):
        present = column[~np.isnan(column)]
        if name in names:
            medians[name] = float(np.median(present)) if len(present) else 0.0
    return medians


def _fill(values: NDArray[Any], fill: float | None) -> NDArray[Any]:
    return values if fill is None else np.where(np.isnan(values), fill, values)


def _apply_link(raw: Floats, link: str) -> Floats:
    if link == "sigmoid":
        return np.asarray(1.0 / (1.0 + np.exp(-raw)))
    if link == "softmax":
        powers = np.exp(raw - raw.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
    return np.exp(raw) if link == "exp" else raw


def _check_scores(kind: LabelKind, score: Floats, output: str) -> None:
    """Raise ModelError if finite values are not scores of this kind."""
    finite = score[np.isfinite(score).all(axis=1)]
    if not len(finite):
        return
    least, most = float(finite.min()), float(finite.max())
    values = f"output {output!r} has values from {least:.4g} to {most:.4g}"
    if kind == "count" and least < 0:
        raise ModelError(f"{values}: an expected count is never below 0; use --link exp if they are logarithms")
    if kind in ("binary", "multiclass") and (least < -_ROUNDING or most > 1 + _ROUNDING):
        link = "sigmoid" if kind == "binary" else "softmax"
        raise ModelError(f"{values}: these are not probabilities; use --link {link} if they are logits")
    if kind == "multiclass" and float(np.abs(finite.sum(axis=1) - 1.0).max()) > _SUM_TOLERANCE:
        raise ModelError(f"output {output!r} has rows whose class probabilities do not sum to 1")
