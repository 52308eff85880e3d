"""Reads an ONNX file and determines its inputs, outputs and columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError, EncodeError
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

from services.training.domain.matching import TEXT, Mismatch, Tensor
from services.training.importing import runtime

LEAST_OPSET = 9
"""Oldest opset that has every operator of a bundle's graph."""
OPSET = 17
"""Opset of added nodes if the graph itself uses no operator of the default domain."""
LEAST_IR = 8
_TRIED_ROWS = 3
_WORDS = '; it has to score texts that it was not fitted to, too (scikit-learn: OneHotEncoder(handle_unknown="ignore"))'
_DEFAULT = ("", "ai.onnx")
_CLASS_LABELS = ("classlabels_int64s", "classlabels_ints", "classlabels_strings")
_NUMPY = {"float": np.float32, "double": np.float64, "float16": np.float16, "int64": np.int64, "int32": np.int32}


@dataclass(frozen=True)
class Graph:
    """An ONNX model that ONNX Runtime can run."""

    model: ModelProto
    """With tensors in place of maps of class to probability."""
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    """With their actual shapes."""


def read(path: Path) -> bytes:
    """Return a model file as one piece, external data included.

    Raises:
        Mismatch: it is not a readable ONNX model.
    """
    try:
        model = onnx.load(str(path))
        content = bytes(model.SerializeToString(deterministic=True))
    except (EncodeError, DecodeError, OSError, ValueError, onnx.checker.ValidationError) as error:
        raise Mismatch(f"it is no ONNX model that can be read: {runtime.reason(error)}") from error
    if not model.graph.node or not model.opset_import:
        raise Mismatch("it is no ONNX model: there is no graph in it")
    return content


def opened(content: bytes) -> Graph:
    """Read a model's tensors and run it on a few rows.

    Raises:
        Mismatch: its opset is too old, or ONNX Runtime cannot run it.
    """
    model = plain(content)
    inputs = tuple(_tensor(each) for each in _true_inputs(model))
    named = {each.name: _classes_of(model, each.name) for each in model.graph.output}
    tried = _tried(model, inputs)
    outputs = [_given(name, values, named[name]) for name, values in tried.items()]
    return Graph(model, inputs, tuple(outputs))


def plain(content: bytes) -> ModelProto:
    """Return the model with tensors as outputs, in place of a ZipMap's maps of class to probability.

    Raises:
        Mismatch: its opset is too old.
    """
    model = onnx.load_from_string(content)
    versions = {each.domain if each.domain not in _DEFAULT else "": each.version for each in model.opset_import}
    versions.setdefault("", OPSET)
    if versions[""] < LEAST_OPSET:
        raise Mismatch(f"its operators are of opset {versions['']}: export it with opset {LEAST_OPSET} or newer")
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in versions.items())
    model.ir_version = max(model.ir_version, LEAST_IR)
    maps = {node.output[0]: node for node in model.graph.node if node.op_type == "ZipMap"}
    kept = [each for each in model.graph.output if each.name not in maps]
    dissolved = [_untyped(node.input[0]) for name, node in maps.items() if name in _names(model.graph.output)]
    del model.graph.output[:]
    model.graph.output.extend([*kept, *dissolved])
    return model


def _true_inputs(model: ModelProto) -> Iterator[ValueInfoProto]:
    """Return the inputs that are not weights; older files also list weights as inputs."""
    weights = {each.name for each in model.graph.initializer}
    return (each for each in model.graph.input if each.name not in weights)


def _tensor(value: ValueInfoProto) -> Tensor:
    if not value.type.HasField("tensor_type"):
        raise Mismatch(f"its input {value.name!r} is no tensor")
    found = value.type.tensor_type
    shape = None
    if found.HasField("shape"):
        shape = tuple(
            each.dim_value if each.HasField("dim_value") and each.dim_value > 0 else None for each in found.shape.dim
        )
    return Tensor(value.name, TensorProto.DataType.Name(found.elem_type).lower(), shape)


def _tried(model: ModelProto, inputs: tuple[Tensor, ...]) -> dict[str, NDArray[np.generic]]:
    names = [each.name for each in model.graph.output]
    try:
        session = runtime.Session(bytes(model.SerializeToString()))
    except runtime.ERRORS as error:
        raise Mismatch(f"ONNX Runtime cannot load it: {runtime.reason(error)}") from error
    try:
        found = session.run(names, {each.name: _zeros(each) for each in inputs})
    except runtime.ERRORS as error:
        words = any(each.dtype == TEXT for each in inputs)
        problem = f"ONNX Runtime cannot run it on {_TRIED_ROWS} rows: {runtime.reason(error)}"
        raise Mismatch(problem + (_WORDS if words else "")) from error
    return dict(zip(names, found, strict=True))


def _zeros(tensor: Tensor) -> NDArray[np.generic]:
    """Return rows of zeros or empty strings; a width that the graph leaves open is 1."""
    lengths = [each or 1 for each in (tensor.shape or (None, None))[1:]]
    if tensor.shape is not None and tensor.shape[0] is not None:
        raise Mismatch(
            f"its input {tensor.name!r} is made for {tensor.shape[0]} rows at a time: export it for any number of rows"
        )
    if tensor.dtype == TEXT:
        return np.full((_TRIED_ROWS, *lengths), "", dtype=object)
    if tensor.dtype not in _NUMPY:
        raise Mismatch(f"its input {tensor.name!r} takes {tensor.dtype}; it must be a number or a string")
    return np.zeros((_TRIED_ROWS, *lengths), dtype=_NUMPY[tensor.dtype])


def _given(name: str, values: NDArray[np.generic], classes: tuple[str, ...]) -> Tensor:
    dtype = (
        TEXT
        if values.dtype.kind in "OUS"
        else {"float32": "float", "float64": "double"}.get(str(values.dtype), str(values.dtype))
    )
    if values.ndim < 1 or values.shape[0] != _TRIED_ROWS:
        return Tensor(name, "nothing by row", None)
    columns = values.shape[1:]
    return Tensor(name, dtype, (None, *columns), classes if columns == (len(classes),) else ())


def _classes_of(model: ModelProto, output: str) -> tuple[str, ...]:
    """Return the class labels of an output's columns, from its ZipMap or the graph's only classifier."""
    maps = [node for node in model.graph.node if node.op_type == "ZipMap" and node.input[0] == output]
    found = [labels for node in (maps or model.graph.node) if (labels := _labels(node))]
    return found[0] if len(set(found)) == 1 else ()


def _labels(node: NodeProto) -> tuple[str, ...]:
    for each in node.attribute:
        if each.name in _CLASS_LABELS:
            return tuple(map(str, each.ints)) or tuple(text.decode() for text in each.strings)
    return ()


def _untyped(name: str) -> ValueInfoProto:
    value = ValueInfoProto()
    value.name = name
    return value


def _names(values: object) -> set[str]:
    return {each.name for each in values}  # type: ignore[attr-defined]  # of a repeated field
