"""A model that refers to other files is refused, wherever in it the reference is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, ModelProto, NodeProto, SparseTensorProto, TensorProto, helper, numpy_helper

from driftloop.model.onnx_session import ONNX_ERRORS, open_session
from services.training.domain.matching import Mismatch
from services.training.importing.graph import open_graph, read

SECRET = "secret.bin"
X = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])
Y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
ADD = helper.make_node("Add", ["x", "w"], ["y"])
INDICES = numpy_helper.from_array(np.arange(4), "indices")
OPSET = helper.make_opsetid("", 17)


def external(name: str = "w", kind: int = TensorProto.FLOAT, location: str = SECRET) -> TensorProto:
    tensor = TensorProto(name=name, data_type=kind, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="length", value=str(4 * (8 if kind == TensorProto.INT64 else 4)))
    return tensor


def sparse(values: TensorProto, indices: TensorProto) -> SparseTensorProto:
    return SparseTensorProto(dims=[4], values=values, indices=indices)


def model(nodes: Sequence[NodeProto], weights: Sequence[TensorProto] = ()) -> ModelProto:
    graph = helper.make_graph(nodes, "g", [X], [Y], initializer=list(weights))
    return helper.make_model(graph, opset_imports=[OPSET], ir_version=8)


def initializer() -> ModelProto:
    return model([ADD], [external()])


def sparse_values() -> ModelProto:
    made = model([ADD])
    made.graph.sparse_initializer.append(sparse(external(), INDICES))
    return made


def sparse_indices() -> ModelProto:
    made = model([ADD])
    ones = numpy_helper.from_array(np.ones(4, np.float32), "w")
    made.graph.sparse_initializer.append(sparse(ones, external("indices", TensorProto.INT64)))
    return made


def constant() -> ModelProto:
    return model([helper.make_node("Constant", [], ["w"], value=external()), ADD])


def sparse_constant() -> ModelProto:
    node = helper.make_node("Constant", [], ["w"])
    node.attribute.add(name="sparse_value", type=AttributeProto.SPARSE_TENSOR).sparse_tensor.CopyFrom(
        sparse(external(), INDICES)
    )
    return model([node, ADD])


def list_of_tensors() -> ModelProto:
    node = helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(np.ones(4, np.float32)))
    node.attribute.add(name="more", type=AttributeProto.TENSORS).tensors.append(external())
    return model([node, ADD])


def branch() -> ModelProto:
    inner = helper.make_graph(
        [helper.make_node("Identity", ["v"], ["o"])], "inner", [],
        [helper.make_tensor_value_info("o", TensorProto.FLOAT, [4])], initializer=[external("v")],
    )  # fmt: skip
    condition = helper.make_node("Constant", [], ["b"], value=helper.make_tensor("b", TensorProto.BOOL, [], [True]))
    return model([condition, helper.make_node("If", ["b"], ["w"], then_branch=inner, else_branch=inner), ADD])


def function() -> ModelProto:
    body = [helper.make_node("Constant", [], ["w"], value=external()), helper.make_node("Add", ["a", "w"], ["z"])]
    made = model([helper.make_node("F", ["x"], ["y"], domain="own")])
    made.functions.append(helper.make_function("own", "F", ["a"], ["z"], body, [OPSET]))
    made.opset_import.append(helper.make_opsetid("own", 1))
    return made


def training_info() -> ModelProto:
    made = model([ADD], [numpy_helper.from_array(np.ones(4, np.float32), "w")])
    made.training_info.add().initialization.initializer.append(external("other"))
    return made


def memory() -> ModelProto:
    """ONNX Runtime takes this location for an address in its own memory."""
    return model([ADD], [external(location="*/_ORT_MEM_ADDR_/*")])


MAKERS = [
    initializer, sparse_values, sparse_indices, constant, sparse_constant, list_of_tensors, branch, function,
    training_info, memory,
]  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder with a file that a model may try to read."""
    (tmp_path / SECRET).write_bytes(np.arange(8, dtype=np.float32).tobytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_a_tensor_in_another_file_is_refused(make: object, folder: Path) -> None:
    assert callable(make)
    content = make().SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    for attempt in (lambda: read(folder / "model.onnx"), lambda: open_graph(content)):
        with pytest.raises(Mismatch, match=r"tensor '\w+' is in another file \('[^']+'\): .* as one file"):
            attempt()


@pytest.mark.parametrize(
    "make", [sparse_values, sparse_constant, branch, constant, memory], ids=lambda make: make.__name__
)
def test_a_session_reads_no_other_file(make: object) -> None:
    assert callable(make)
    with pytest.raises(ONNX_ERRORS):
        open_session(make().SerializeToString()).run(None, {"x": np.zeros((1, 4), np.float32)})


@pytest.mark.parametrize("companion", ["model.onnx.data", "model.onnx_data", "model.data"])
def test_the_models_own_weights_file_becomes_part_of_it(folder: Path, companion: str) -> None:
    (folder / SECRET).rename(folder / companion)
    onnx.save(model([ADD], [external(location=companion)]), folder / "model.onnx")
    [output] = open_session(read(folder / "model.onnx")).run(None, {"x": np.zeros((1, 4), np.float32)})
    assert output.tolist() == [[0.0, 1.0, 2.0, 3.0]]


def test_a_weights_file_that_leads_elsewhere_is_refused(folder: Path) -> None:
    (folder / "model.onnx.data").symlink_to(folder / SECRET)
    onnx.save(model([ADD], [external(location="model.onnx.data")]), folder / "model.onnx")
    with pytest.raises(Mismatch, match=r"tensor 'w' is in another file \('model.onnx.data'\)"):
        read(folder / "model.onnx")


def test_a_missing_or_short_weights_file_is_refused(folder: Path) -> None:
    onnx.save(model([ADD], [external(location="model.onnx.data")]), folder / "model.onnx")
    with pytest.raises(Mismatch, match=r"tensor 'w' is in another file \('model.onnx.data'\)"):
        read(folder / "model.onnx")
    (folder / "model.onnx.data").write_bytes(b"short")
    with pytest.raises(Mismatch):
        read(folder / "model.onnx")
