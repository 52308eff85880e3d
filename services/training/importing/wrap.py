"""Embeds an imported graph in a bundle's graph: loop inputs, unchanged model, loop score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, compose, helper, numpy_helper

from driftloop.model.bundle import Input
from services.training.domain.matching import TEXT, ImportPlan, Tensor

_PREFIX = "model/"
_OURS = "driftloop/"


def wrap(
    model: ModelProto,
    inputs: Sequence[Tensor],
    asking: ImportPlan,
    numeric: Sequence[Input],
    categorical: Sequence[Input],
    fills: Mapping[str, float],
) -> bytes:
    """Return the serialised model for a bundle.

    Args:
        model: result of `services.training.importing.graph.plain`.
        inputs: the model's own inputs.
        asking: how the loop calls the model.
        numeric: the loop's F numeric inputs, in order.
        categorical: the loop's C string inputs, in order.
        fills: replacement for a missing number by the loop's input name; without one, NaN is passed on.

    Returns:
        An ONNX model with inputs ``numeric`` float64 [n, F] and ``categorical`` string [n, C], where F and C are not 0,
        and the output ``score`` float64 [n, 1], or [n, K] with K classes.

    Raises:
        onnx.checker.ValidationError: the graph is not a valid model.
    """
    found = compose.add_prefix(model, _PREFIX)
    graph = _Ours(numeric, categorical, fills)
    for tensor in inputs:
        graph.ask(tensor, dict(asking.inputs)[tensor.name])
    before = len(graph.nodes)
    graph.score(asking)
    nodes = [*graph.nodes[:before], *_without_maps(found), *graph.nodes[before:]]
    for field, values in (("node", nodes), ("input", graph.inputs()), ("output", [_output(len(asking.score_columns))])):
        del getattr(found.graph, field)[:]
        getattr(found.graph, field).extend(values)
    found.graph.initializer.extend(graph.constants)
    found.graph.name, found.graph.doc_string = "imported", ""
    found.producer_name, found.producer_version, found.doc_string = "driftloop", "", ""
    onnx.checker.check_model(found)
    return bytes(found.SerializeToString(deterministic=True))


def _without_maps(model: ModelProto) -> list[NodeProto]:
    return [node for node in model.graph.node if node.op_type != "ZipMap"]


def _output(width: int) -> Any:
    return helper.make_tensor_value_info("score", TensorProto.DOUBLE, ["n", width])


class _Ours:
    """Builds the nodes and constants around a model. Every operator means the same from opset 9 on."""

    def __init__(self, numeric: Sequence[Input], categorical: Sequence[Input], fills: Mapping[str, float]) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._numeric = [each.name for each in numeric]
        self._categorical = [each.name for each in categorical]
        self._fills = fills

    def inputs(self) -> list[Any]:
        """Return the loop's inputs as value infos."""
        found = []
        if self._numeric:
            found.append(helper.make_tensor_value_info("numeric", TensorProto.DOUBLE, ["n", len(self._numeric)]))
        if self._categorical:
            found.append(
                helper.make_tensor_value_info("categorical", TensorProto.STRING, ["n", len(self._categorical)])
            )
        return found

    def ask(self, tensor: Tensor, columns: Sequence[str]) -> None:
        """Build a model input from the loop's columns."""
        own = self._categorical if tensor.dtype == TEXT else self._numeric
        places = self._constant(np.array([own.index(name) for name in columns], dtype=np.int64))
        found = self._node("Gather", ["categorical" if tensor.dtype == TEXT else "numeric", places], axis=1)
        if tensor.dtype != TEXT:
            found = self._cast(self._filled(found, columns), tensor.dtype)
        flat = tensor.shape is not None and len(tensor.shape) == 1
        shape = self._constant(np.array([-1] if flat else [-1, len(columns)], dtype=np.int64))
        self._node("Reshape", [found, shape], f"{_PREFIX}{tensor.name}")

    def score(self, asking: ImportPlan) -> None:
        """Build the loop's score from a model output."""
        columns = asking.score_columns
        found = self._cast(f"{_PREFIX}{asking.output}", "double")
        if asking.link == "softmax":
            found = self._node("Softmax", [found], axis=1)
        elif asking.link != "identity":
            found = self._node({"sigmoid": "Sigmoid", "exp": "Exp"}[asking.link], [found])
        if len(columns) == 1 and columns[0] == 0:
            found = self._node("Reshape", [found, self._constant(np.array([0, -1], dtype=np.int64))])
        found = self._node("Gather", [found, self._constant(np.array(columns, dtype=np.int64))], axis=1)
        if len(columns) > 1:
            ones = self._constant(np.ones((len(columns), 1)))
            found = self._node("Div", [found, self._node("MatMul", [found, ones])])
        shape = self._constant(np.array([-1, len(columns)], dtype=np.int64))
        self._node("Reshape", [found, shape], "score")

    def _filled(self, found: str, columns: Sequence[str]) -> str:
        if not any(name in self._fills for name in columns):
            return found
        values = np.array([[self._fills.get(name, np.nan) for name in columns]])
        missing = self._node("IsNaN", [self._cast(found, "float")])
        return self._node("Where", [missing, self._constant(values), found])

    def _cast(self, source: str, dtype: str) -> str:
        return self._node("Cast", [source], to=TensorProto.DataType.Value(dtype.upper()))

    def _node(self, operator: str, sources: Sequence[str], target: str = "", **attributes: Any) -> str:
        target = target or f"{_OURS}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(sources), [target], **attributes))
        return target

    def _constant(self, values: np.ndarray[Any, Any]) -> str:
        name = f"{_OURS}constant/{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name
