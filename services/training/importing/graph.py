"""Reads an ONNX file and determines its inputs, outputs and columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, EncodeError, Message
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto
from onnx.external_data_helper import load_external_data_for_tensor

from driftloop.model.onnx_session import ONNX_ERRORS, first_line, open_session
from services.training.domain.matching import TEXT, Mismatch, Tensor, check_input_type, width_of

LEAST_OPSET = 9
"""Oldest opset that has every operator of a bundle's graph."""
OPSET = 17
"""Opset of added nodes if the graph itself uses no operator of the default domain."""
LEAST_IR = 8
NUMPY_TYPES = {"float": np.float32, "double": np.float64, "float16": np.float16, "int64": np.int64, "int32": np.int32}
_TRIAL_ROWS = 3
_TEXT_HINT = '; it must also score unknown texts (scikit-learn: OneHotEncoder(handle_unknown="ignore"))'
_NUMBER_HINT = (
    "; it lacks many operators for float64 and integers: export the model with float32 for {} (skl2onnx: to_onnx with "
    'the sample frame.astype({{name: "float32", ...}})[:1])'
)
_DEFAULT = ("", "ai.onnx")
_CLASS_LABELS = ("classlabels_int64s", "classlabels_ints", "classlabels_strings")


@dataclass(frozen=True)
class Graph:
    """An ONNX model that ONNX Runtime can run."""

    model: ModelProto
    """With tensors in place of maps of class to probability."""
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    """With their actual shapes."""


def read(path: Path) -> bytes:
    """Return a model file as one piece, with weights that are in the file's own companion, such as `m.onnx.data`.

    Raises:
        Mismatch: it is not a readable ONNX model, or refers to other files.
    """
    try:
        model = onnx.load(str(path), load_external_data=False)
        _embed_companion(model, path)
        refuse_external_tensors(model)
        content = bytes(model.SerializeToString(deterministic=True))
    except (EncodeError, DecodeError, OSError, ValueError, onnx.checker.ValidationError) as error:
        raise Mismatch(f"it is not a readable ONNX model: {first_line(error)}") from error
    if not model.graph.node or not model.opset_import:
        raise Mismatch("it is not an ONNX model: it has no graph")
    return content


def refuse_external_tensors(model: ModelProto) -> None:
    """Refuse a model that refers to another file, anywhere: such a file could be any that this process can read.

    Raises:
        Mismatch: says which tensor does.
    """
    for tensor in _tensors(model):
        if _is_external(tensor):
            raise Mismatch(
                f"tensor {tensor.name!r} is in another file ({_location(tensor)!r}): save the model as one file, such "
                'as `onnx.save(onnx.load("model.onnx"), "one.onnx")`'
            )


def _embed_companion(model: ModelProto, path: Path) -> None:
    """Read weights from the regular file beside the model that has its name; exporters of large models write one."""
    names = (f"{path.name}.data", f"{path.name}_data", f"{path.stem}.data")
    for weight in model.graph.initializer:
        if _is_external(weight) and _location(weight) in names and _is_plain_file(path.with_name(_location(weight))):
            load_external_data_for_tensor(weight, str(path.parent))
            weight.data_location = TensorProto.DEFAULT
            del weight.external_data[:]


def _is_plain_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _tensors(message: Message) -> Iterator[TensorProto]:
    """Yield every tensor of a message: of weights, attributes, subgraphs, functions and whatever ONNX adds."""
    if isinstance(message, TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for part in value if field.is_repeated else (value,):
                yield from _tensors(part)


def _is_external(tensor: TensorProto) -> bool:
    return bool(tensor.data_location == TensorProto.EXTERNAL or tensor.external_data)


def _location(tensor: TensorProto) -> str:
    return next((entry.value for entry in tensor.external_data if entry.key == "location"), "")


def open_graph(content: bytes) -> Graph:
    """Read a model's tensors and run it on a few rows.

    Raises:
        Mismatch: its opset is too old, it refers to other files, or ONNX Runtime cannot run it.
    """
    model = _without_maps(content)
    weights = {weight.name for weight in model.graph.initializer}  # older files also list weights as inputs
    inputs = tuple(_tensor(value) for value in model.graph.input if value.name not in weights)
    outputs = [_output(name, values, _classes_of(model, name)) for name, values in _trial_run(model, inputs).items()]
    return Graph(model, inputs, tuple(outputs))


def _without_maps(content: bytes) -> ModelProto:
    """Return the model with tensors as outputs, in place of a ZipMap's maps of class to probability."""
    model = onnx.load_from_string(content)
    refuse_external_tensors(model)
    versions = {opset.domain if opset.domain not in _DEFAULT else "": opset.version for opset in model.opset_import}
    versions.setdefault("", OPSET)
    if versions[""] < LEAST_OPSET:
        raise Mismatch(f"it has opset {versions['']}: export it with opset {LEAST_OPSET} or newer")
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in versions.items())
    model.ir_version = max(model.ir_version, LEAST_IR)
    maps = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "ZipMap"}
    outputs = list(model.graph.output)
    del model.graph.output[:]
    model.graph.output.extend(value for value in outputs if value.name not in maps)
    model.graph.output.extend(ValueInfoProto(name=maps[value.name]) for value in outputs if value.name in maps)
    return model


def _tensor(value: ValueInfoProto) -> Tensor:
    if not value.type.HasField("tensor_type"):
        raise Mismatch(f"input {value.name!r} is not a tensor")
    declared = value.type.tensor_type
    shape = None
    if declared.HasField("shape"):
        shape = tuple(
            axis.dim_value if axis.HasField("dim_value") and axis.dim_value > 0 else None for axis in declared.shape.dim
        )
    return Tensor(value.name, TensorProto.DataType.Name(declared.elem_type).lower(), shape)


def _trial_run(model: ModelProto, inputs: tuple[Tensor, ...]) -> dict[str, NDArray[np.generic]]:
    names = [value.name for value in model.graph.output]
    try:
        session = open_session(bytes(model.SerializeToString()))
    except ONNX_ERRORS as error:
        raise Mismatch(f"ONNX Runtime cannot load it: {first_line(error)}" + _number_hint(inputs)) from error
    feed = {tensor.name: _zeros(tensor) for tensor in inputs}
    try:
        outputs = session.run(names, feed)
    except ONNX_ERRORS as error:
        problem = f"ONNX Runtime cannot run it on {_TRIAL_ROWS} rows: {first_line(error)}"
        text_hint = _TEXT_HINT if any(tensor.dtype == TEXT for tensor in inputs) else ""
        raise Mismatch(problem + _number_hint(inputs) + text_hint) from error
    return dict(zip(names, map(np.asarray, outputs), strict=True))


def _number_hint(inputs: tuple[Tensor, ...]) -> str:
    odd = [tensor.name for tensor in inputs if tensor.dtype in ("double", "int64", "int32")]
    return _NUMBER_HINT.format(", ".join(odd)) if odd else ""


def _zeros(tensor: Tensor) -> NDArray[np.generic]:
    """Return rows of zeros or empty strings; a width that the graph leaves open is 1."""
    check_input_type(tensor)
    columns = width_of(tensor) or 1
    shape = (_TRIAL_ROWS,) if tensor.shape is not None and len(tensor.shape) == 1 else (_TRIAL_ROWS, columns)
    return np.full(shape, "", dtype=object) if tensor.dtype == TEXT else np.zeros(shape, NUMPY_TYPES[tensor.dtype])


def _output(name: str, values: NDArray[np.generic], classes: tuple[str, ...]) -> Tensor:
    if values.ndim < 1 or values.shape[0] != _TRIAL_ROWS:
        return Tensor(name, "not a value per row", None)
    names = {"float32": "float", "float64": "double"}
    dtype = TEXT if values.dtype.kind in "OUS" else names.get(str(values.dtype), str(values.dtype))
    columns = values.shape[1:]
    return Tensor(name, dtype, (None, *columns), classes if columns == (len(classes),) else ())


def _classes_of(model: ModelProto, output: str) -> tuple[str, ...]:
    """Return the class labels of an output's columns, from its ZipMap or the graph's only classifier."""
    maps = [node for node in model.graph.node if node.op_type == "ZipMap" and node.input[0] == output]
    labels = {_labels(node) for node in maps or model.graph.node} - {()}
    return labels.pop() if len(labels) == 1 else ()


def _labels(node: NodeProto) -> tuple[str, ...]:
    for attribute in node.attribute:
        if attribute.name in _CLASS_LABELS:
            return tuple(map(str, attribute.ints)) or tuple(text.decode() for text in attribute.strings)
    return ()
