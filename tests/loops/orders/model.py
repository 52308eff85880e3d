"""Poisson regression by Newton's method in numpy, exported operator by operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

from driftloop.model.trainer import Fitted, Parameters, TrainingSet

Floats = NDArray[np.float64]

LEAST_LOG, GREATEST_LOG = -12.0, 6.0
OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]


@dataclass(frozen=True)
class ReturnsModel:
    """``exp(weights · z + words · one-hot + intercept)``; z is log(1 + x), standardised; a missing x is the centre."""

    centre: Floats
    scale: Floats
    weights: Floats
    intercept: float
    vocabulary: Sequence[str]
    words: Floats

    def predict(self, data: TrainingSet) -> Floats:
        """Return expected returned items, float64 [n]."""
        z = design(data.numeric, self.centre, self.scale)
        log_mean = z @ self.weights + one_hot(data.categorical[:, 0], self.vocabulary) @ self.words + self.intercept
        return np.asarray(np.exp(np.clip(log_mean, LEAST_LOG, GREATEST_LOG)))

    def to_onnx(self) -> bytes:
        """Return the same function as an ONNX graph."""
        graph = helper.make_graph(
            self._nodes(),
            "returns",
            [
                helper.make_tensor_value_info("numeric", TensorProto.DOUBLE, ["n", len(self.centre)]),
                helper.make_tensor_value_info("categorical", TensorProto.STRING, ["n", 1]),
            ],
            [helper.make_tensor_value_info("score", TensorProto.DOUBLE, ["n", 1])],
            [numpy_helper.from_array(value, name) for name, value in self._constants().items()],
        )
        model: ModelProto = helper.make_model(graph, opset_imports=OPSETS, ir_version=9)
        checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))

    def _constants(self) -> dict[str, NDArray[np.float64] | NDArray[np.int64]]:
        return {
            "centre": self.centre[None, :],
            "scale": self.scale[None, :],
            "weights": self.weights[:, None],
            "words": self.words[:, None],
            "intercept": np.array([[self.intercept]]),
            "zero": np.array(0.0),
            "one": np.array(1.0),
            "least": np.array(LEAST_LOG),
            "greatest": np.array(GREATEST_LOG),
            "flat": np.array([-1, len(self.vocabulary)], dtype=np.int64),
        }

    def _nodes(self) -> list[object]:
        node = helper.make_node
        return [
            node("IsNaN", ["numeric"], ["absent"]),
            node("Max", ["numeric", "zero"], ["positive"]),
            node("Add", ["positive", "one"], ["above"]),
            node("Log", ["above"], ["logs"]),
            node("Where", ["absent", "centre", "logs"], ["filled"]),
            node("Sub", ["filled", "centre"], ["centred"]),
            node("Div", ["centred", "scale"], ["z"]),
            node("MatMul", ["z", "weights"], ["numbers"]),
            node(
                "OneHotEncoder",
                ["categorical"],
                ["hot"],
                domain="ai.onnx.ml",
                cats_strings=list(self.vocabulary),
                zeros=1,
            ),
            node("Cast", ["hot"], ["hot_double"], to=TensorProto.DOUBLE),
            node("Reshape", ["hot_double", "flat"], ["hot_flat"]),
            node("MatMul", ["hot_flat", "words"], ["texts"]),
            node("Sum", ["numbers", "texts"], ["both"]),
            node("Add", ["both", "intercept"], ["log_mean"]),
            node("Min", ["log_mean", "greatest"], ["below"]),
            node("Max", ["below", "least"], ["clipped"]),
            node("Exp", ["clipped"], ["score"]),
        ]


class Trainer:
    """Fits `ReturnsModel` (`driftloop.model.trainer.Trainer`); one string input."""

    def fit(self, train: TrainingSet, validation: TrainingSet, *, parameters: Parameters, seed: int) -> Fitted:
        """Fit the ridge-penalised Poisson likelihood by Newton's method; the intercept corrects the mean on
        ``validation``.
        """
        del seed  # nothing is random
        logs = np.log1p(np.maximum(train.numeric, 0.0))
        present = ~np.isnan(logs)
        centre = np.where(present.any(0), np.nansum(logs, 0) / np.maximum(present.sum(0), 1), 0.0)
        spread = np.sqrt(np.nansum((logs - centre) ** 2, 0) / np.maximum(present.sum(0), 1))
        scale = np.where(spread > 1e-9, spread, 1.0)
        vocabulary = sorted(set(train.categorical[:, 0]))
        matrix = np.column_stack(
            [
                design(train.numeric, centre, scale),
                one_hot(train.categorical[:, 0], vocabulary),
                np.ones(len(train.label)),
            ]
        )
        coefficients = _newton(matrix, train.label, float(parameters["ridge"]), int(parameters["steps"]))
        words = slice(len(centre), len(centre) + len(vocabulary))
        model = ReturnsModel(
            centre, scale, coefficients[: len(centre)], float(coefficients[-1]), vocabulary, coefficients[words]
        )
        shift = np.log((validation.label.mean() + 1e-3) / (model.predict(validation).mean() + 1e-3))
        return ReturnsModel(centre, scale, model.weights, model.intercept + float(shift), model.vocabulary, model.words)


def design(numeric: Floats, centre: Floats, scale: Floats) -> Floats:
    """Return standardised logs, float64 [n, F]."""
    logs = np.log(np.maximum(numeric, 0.0) + 1.0)
    return np.asarray((np.where(np.isnan(numeric), centre, logs) - centre) / scale)


def one_hot(column: NDArray[np.object_], vocabulary: Sequence[str]) -> Floats:
    """Return float64 [n, words]; an unknown word is a row of zeros."""
    return np.asarray(column[:, None] == np.array(vocabulary, dtype=object)[None, :], dtype=np.float64)


def _newton(matrix: Floats, label: Floats, ridge: float, steps: int) -> Floats:
    """Reweighted least squares with a ridge on all but the last (McCullagh and Nelder, 1989, section 2.5)."""
    penalty = np.full(matrix.shape[1], ridge)
    penalty[-1] = 1e-6
    coefficients = np.zeros(matrix.shape[1])
    coefficients[-1] = np.log(label.mean() + 1e-3)
    for _ in range(steps):
        mean = np.exp(np.clip(matrix @ coefficients, LEAST_LOG, GREATEST_LOG))
        gradient = matrix.T @ (label - mean) - penalty * coefficients
        hessian = (matrix * mean[:, None]).T @ matrix + np.diag(penalty)
        coefficients = coefficients + np.clip(np.linalg.solve(hessian, gradient), -2.0, 2.0)
    return coefficients
