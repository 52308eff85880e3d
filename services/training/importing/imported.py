"""An imported model that takes the place of a trained one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftloop.model.bundle import Input
from driftloop.model.losses import LabelKind
from driftloop.model.trainer import TrainingSet
from services.training.domain.matching import TEXT, WHOLE, Mismatch
from services.training.importing import runtime
from services.training.importing.graph import Graph, opened
from services.training.importing.wrap import wrap
from services.training.run.errors import ModelError
from services.training.spec import Imported

Floats = NDArray[np.float64]

_NEAR = 1e-3
"""Largest difference of a row's probability sum from 1, which allows for single precision."""
_ROUNDING = 1e-6
_NUMPY = {"float": np.float32, "double": np.float64, "float16": np.float16, "int64": np.int64, "int32": np.int32}


@dataclass(frozen=True)
class ImportedModel:
    """`driftloop.model.trainer.Fitted` over an imported graph."""

    origin: Imported
    graph: Graph
    kind: LabelKind
    numeric: tuple[Input, ...]
    categorical: tuple[Input, ...]
    fills: Mapping[str, float]
    """Replacement for a missing number, by the loop's input name."""
    session: runtime.Session

    def predict(self, data: TrainingSet) -> Floats:
        """Return the scores of the imported graph, float64 [n], or [n, K] with K classes.

        Raises:
            ModelError: the graph fails, or its values are not scores of the label's kind.
        """
        asking = self.origin.asking
        try:
            [raw] = self.session.run([asking.output], self._feed(data))
        except runtime.ERRORS as error:
            raise ModelError(f"the model failed: {runtime.reason(error)}") from error
        columns = _linked(raw.reshape(len(data.key), -1).astype(np.float64), asking.link)
        score = columns[:, list(asking.score_columns)]
        _check(self.kind, score, asking.output)
        if self.kind == "multiclass":
            return np.asarray(score / score.sum(axis=1, keepdims=True))
        return np.asarray(score[:, 0])

    def to_onnx(self) -> bytes:
        """Return the same function with the loop's inputs and score."""
        asking = self.origin.asking
        return wrap(self.graph.model, self.graph.inputs, asking, self.numeric, self.categorical, self.fills)

    def manifest(self) -> dict[str, Any]:
        """Return the origin of the model, for the bundle's manifest."""
        asking = self.origin.asking
        return {
            "source": self.origin.source,
            "sha256": self.origin.sha256,
            "inputs": {name: list(columns) for name, columns in asking.inputs},
            "output": asking.output,
            "score_columns": list(asking.score_columns),
            "link": asking.link,
            "fills": dict(self.fills),
        }

    def _feed(self, data: TrainingSet) -> dict[str, NDArray[Any]]:
        return feed(self.graph, self.origin, data, self.fills)


def take(
    imported: Imported,
    rows: TrainingSet,
    inputs: tuple[tuple[Input, ...], tuple[Input, ...]],
    kind: LabelKind,
    threads: int,
) -> ImportedModel:
    """Load an imported model. ``rows`` are the loop's; ``inputs`` are its numeric and its string inputs.

    Missing numbers are replaced by their median over ``rows`` if the model takes integers, which cannot be missing, or
    if
    its scores are not finite when numbers are missing.

    Raises:
        ModelError: the file is missing, has changed, or cannot be run.
    """
    try:
        graph = opened(_content(imported))
    except Mismatch as error:
        raise ModelError(f"{imported.source}: {error}") from error
    session = runtime.Session(bytes(graph.model.SerializeToString()), threads)
    asked = _numbers(graph, imported)
    found = ImportedModel(imported, graph, kind, *inputs, {}, session)
    if not any(tensor.dtype in WHOLE for tensor in graph.inputs) and _bears_missing(found, rows):
        return found
    return ImportedModel(imported, graph, kind, *inputs, _medians(rows, asked), session)


def feed(graph: Graph, imported: Imported, data: TrainingSet, fills: Mapping[str, float]) -> dict[str, NDArray[Any]]:
    """Return the graph's inputs for some of the loop's rows."""
    numbers = {name: data.numeric[:, place] for place, name in enumerate(data.numeric_names)}
    strings = {name: data.categorical[:, place] for place, name in enumerate(data.categorical_names)}
    found: dict[str, NDArray[Any]] = {}
    for tensor in graph.inputs:
        columns = dict(imported.asking.inputs)[tensor.name]
        own = strings if tensor.dtype == TEXT else numbers
        values = np.column_stack([_present(own[name], fills.get(name)) for name in columns])
        if tensor.shape is not None and len(tensor.shape) == 1:
            values = values[:, 0]
        found[tensor.name] = values if tensor.dtype == TEXT else values.astype(_NUMPY[tensor.dtype])
    return found


def _content(imported: Imported) -> bytes:
    try:
        content = Path(imported.path).read_bytes()
    except OSError as error:
        raise ModelError(f"{imported.path}: {error.strerror}; import the model again") from error
    if hashlib.sha256(content).hexdigest() != imported.sha256:
        raise ModelError(f"{imported.path} is not the file that was imported; import the model again")
    return content


def _numbers(graph: Graph, imported: Imported) -> list[str]:
    """Return the loop's numeric inputs that the model takes."""
    asked = dict(imported.asking.inputs)
    return [name for tensor in graph.inputs if tensor.dtype != TEXT for name in asked[tensor.name]]


def _bears_missing(model: ImportedModel, rows: TrainingSet) -> bool:
    """Return whether the scores are finite when all numbers are missing."""
    first = rows.rows(slice(0, 1))
    empty = TrainingSet(
        np.full_like(first.numeric, np.nan), first.categorical, first.label, first.decision_time_ms, first.key,
        first.numeric_names, first.categorical_names, first.classes,
    )  # fmt: skip
    try:
        [raw] = model.session.run([model.origin.asking.output], feed(model.graph, model.origin, empty, {}))
    except runtime.ERRORS:
        return False
    return bool(np.isfinite(raw).all())


def _medians(rows: TrainingSet, names: list[str]) -> dict[str, float]:
    """Return the median of each name over the rows that have it, or 0 if no row has it."""
    found = {}
    for place, name in enumerate(rows.numeric_names):
        present = rows.numeric[:, place][~np.isnan(rows.numeric[:, place])]
        if name in names:
            found[name] = float(np.median(present)) if len(present) else 0.0
    return found


def _present(values: NDArray[Any], fill: float | None) -> NDArray[Any]:
    return values if fill is None else np.where(np.isnan(values), fill, values)


def _linked(raw: Floats, link: str) -> Floats:
    if link == "sigmoid":
        return np.asarray(1.0 / (1.0 + np.exp(-raw)))
    if link == "softmax":
        powers = np.exp(raw - raw.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
    return np.exp(raw) if link == "exp" else raw


def _check(kind: LabelKind, score: Floats, output: str) -> None:
    """Raise ModelError if finite values are not scores of this kind."""
    found = score[np.isfinite(score).all(axis=1)]
    if not len(found):
        return
    least, most = float(found.min()), float(found.max())
    said = f"its output {output!r} goes from {least:.4g} to {most:.4g}"
    if kind == "count" and least < 0:
        raise ModelError(f"{said}: an expected count is never below 0; import it with --link exp if it is a logarithm")
    if kind in ("binary", "multiclass") and (least < -_ROUNDING or most > 1 + _ROUNDING):
        link = "sigmoid" if kind == "binary" else "softmax"
        raise ModelError(f"{said}: those are no probabilities; import it with --link {link} if they are logits")
    if kind == "multiclass" and float(np.abs(found.sum(axis=1) - 1.0).max()) > _NEAR:
        raise ModelError(f"its output {output!r} gives a row's classes probabilities whose sum is not 1")
