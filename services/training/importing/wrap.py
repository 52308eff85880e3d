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
    plan: ImportPlan,
    numeric: Sequence[Input],
    categorical: Sequence[Input],
    fills: Mapping[str, float],
) -> bytes:
    """Return the serialised model for a bundle.

    Args:
        model: `services.training.importing.graph.Graph.model`.
        inputs: the model's own inputs.
        plan: how the loop calls the model.
        numeric: the loop's F numeric inputs, in order.
        categorical: the loop's C string inputs, in order.
        fills: replacement for a missing number by the loop's input name; without one, NaN is passed on.

    Returns:
        An ONNX model with inputs ``numeric`` float64 [n, F] and ``categorical`` string [n, C], where F and C are not 0,
        and the output ``score`` float64 [n, 1], or [n, K] with K classes.

    Raises:
        onnx.checker.ValidationError: the graph is not a valid model.
    """
    wrapped = compose.add_prefix(model, _PREFIX)
    graph = _GraphBuilder(numeric, categorical, fills)
    for tensor in inputs:
        graph.add_model_input(tensor, dict(plan.inputs)[tensor.name])
    before = len(graph.nodes)
    graph.add_score(plan)
    own_nodes = [node for node in wrapped.graph.node if node.op_type != "ZipMap"]
    nodes = [*graph.nodes[:before], *own_nodes, *graph.nodes[before:]]
    output = helper.make_tensor_value_info("score", TensorProto.DOUBLE, ["n", len(plan.score_columns)])
    for field, values in (("node", nodes), ("input", graph.inputs()), ("output", [output])):
        del getattr(wrapped.graph, field)[:]
        getattr(wrapped.graph, field).extend(values)
    wrapped.graph.initializer.extend(graph.constants)
    wrapped.graph.name, wrapped.graph.doc_string = "imported", ""
    wrapped.producer_name, wrapped.producer_version, wrapped.doc_string = "driftloop", "", ""
    onnx.checker.check_model(wrapped)
    return bytes(wrapped.SerializeToString(deterministic=True))


class _GraphBuilder:
    """Builds the nodes and constants around a model. Every operator means the same from opset 9 on."""

    def __init__(self, numeric: Sequence[Input], categorical: Sequence[Input], fills: Mapping[str, float]) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._columns = {
            "numeric": [number.name for number in numeric],
            "categorical": [string.name for string in categorical],
        }
        self._fills = fills

    def inputs(self) -> list[Any]:
        """Return the loop's inputs as value infos."""
        types = {"numeric": TensorProto.DOUBLE, "categorical": TensorProto.STRING}
        return [
            helper.make_tensor_value_info(name, types[name], ["n", len(columns)])
            for name, columns in self._columns.items()
            if columns
        ]

    def add_model_input(self, tensor: Tensor, columns: Sequence[str]) -> None:
        source = "categorical" if tensor.dtype == TEXT else "numeric"
        indices = self._constant(np.array([self._columns[source].index(name) for name in columns], dtype=np.int64))
        value = self._node("Gather", [source, indices], axis=1)
        if tensor.dtype != TEXT:
            value = self._cast(self._filled(value, columns), tensor.dtype)
        is_flat = tensor.shape is not None and len(tensor.shape) == 1
        shape = self._constant(np.array([-1] if is_flat else [-1, len(columns)], dtype=np.int64))
        self._node("Reshape", [value, shape], f"{_PREFIX}{tensor.name}")

    def add_score(self, plan: ImportPlan) -> None:
        columns = plan.score_columns
        value = self._cast(f"{_PREFIX}{plan.output}", "double")
        if plan.link == "softmax":
            value = self._node("Softmax", [value], axis=1)
        elif plan.link != "identity":
            value = self._node({"sigmoid": "Sigmoid", "exp": "Exp"}[plan.link], [value])
        if len(columns) == 1 and columns[0] == 0:
            value = self._node("Reshape", [value, self._constant(np.array([0, -1], dtype=np.int64))])
        value = self._node("Gather", [value, self._constant(np.array(columns, dtype=np.int64))], axis=1)
        if len(columns) > 1:
            ones = self._constant(np.ones((len(columns), 1)))
            value = self._node("Div", [value, self._node("MatMul", [value, ones])])
        shape = self._constant(np.array([-1, len(columns)], dtype=np.int64))
        self._node("Reshape", [value, shape], "score")

    def _filled(self, value: str, columns: Sequence[str]) -> str:
        if not any(name in self._fills for name in columns):
            return value
        fills = np.array([[self._fills.get(name, np.nan) for name in columns]])
        missing = self._node("IsNaN", [self._cast(value, "float")])
        return self._node("Where", [missing, self._constant(fills), value])

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
