"""A model that runs forever or fills the memory ends its inspection, and nothing else."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from driftloop.process.settings import ROOT

X = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1])
Y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
OPSET = helper.make_opsetid("", 17)
_INSPECT = """
import sys
from pathlib import Path
from services.training.domain.matching import Mismatch
from services.training.importing import graph
from services.training.importing.limits import InspectionSettings, limit_inspection

limit_inspection(InspectionSettings(import_cpu_s=1, import_memory_mib=int(sys.argv[2])))
try:
    graph.open_graph(graph.read(Path(sys.argv[1])))
except (Mismatch, MemoryError) as error:
    print("refused:", str(error) or type(error).__name__)
"""


def _inspect(content: bytes, folder: Path, memory_mib: int) -> subprocess.CompletedProcess[str]:
    (folder / "model.onnx").write_bytes(content)
    command = [sys.executable, "-c", _INSPECT, str(folder / "model.onnx"), str(memory_mib)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def _model(nodes: list[object], weights: dict[str, object]) -> bytes:
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "g", [X], [Y], initializer=initializers)
    return bytes(helper.make_model(graph, opset_imports=[OPSET], ir_version=8).SerializeToString())


def _endless() -> bytes:
    carried = [helper.make_tensor_value_info(name, kind, None) for name, kind in (("go", 9), ("v", 1))]
    inputs = [helper.make_tensor_value_info("i", TensorProto.INT64, []), *carried]
    outputs = [helper.make_tensor_value_info(name, kind, None) for name, kind in (("go2", 9), ("v2", 1))]
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go2"]), helper.make_node("Cos", ["v"], ["v2"])], "b", inputs, outputs
    )
    loop = helper.make_node("Loop", ["times", "yes", "x"], ["y"], body=body)
    return _model([loop], {"times": np.int64(2**62), "yes": np.bool_(True)})


def _huge() -> bytes:
    shape = helper.make_node("ConstantOfShape", ["size"], ["big"])
    nodes = [shape, helper.make_node("ReduceSum", ["big"], ["sum"]), helper.make_node("Add", ["x", "sum"], ["y"])]
    return _model(nodes, {"size": np.array([1 << 31], np.int64)})


def test_a_model_that_never_ends_is_ended(tmp_path: Path) -> None:
    assert _inspect(_endless(), tmp_path, 4096).returncode == -signal.SIGXCPU


def test_a_model_that_needs_too_much_memory_is_refused(tmp_path: Path) -> None:
    ended = _inspect(_huge(), tmp_path, 512)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("refused: ONNX Runtime cannot")


def test_a_common_model_stays_within_the_limits(tmp_path: Path) -> None:
    plain = _model([helper.make_node("Add", ["x", "w"], ["y"])], {"w": np.zeros((1, 1), np.float32)})
    ended = _inspect(plain, tmp_path, 256)
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
