"""Real bundles, scored by ONNX Runtime."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from onnx import TensorProto, helper, numpy_helper

from driftloop.model.bundle import GOLDEN, MODEL, Input, Manifest, local_path, write_bundle
from driftloop.process.errors import BundleError
from services.evaluation.adapters.bundles import LocalBundles
from services.evaluation.adapters.holdouts import ParquetHoldouts


def model(categories: bool) -> bytes:
    """score = sigmoid(sum of numeric, plus 1 if the category is "big")."""
    inputs = [helper.make_tensor_value_info("numeric", TensorProto.DOUBLE, [None, 2])]
    nodes = [helper.make_node("ReduceSum", ["numeric", "axis"], ["sum"], keepdims=1)]
    if categories:
        inputs.append(helper.make_tensor_value_info("categorical", TensorProto.STRING, [None, 1]))
        nodes.append(
            helper.make_node(
                "LabelEncoder",
                ["categorical"],
                ["code"],
                domain="ai.onnx.ml",
                keys_strings=["big"],
                values_floats=[1.0],
                default_float=0.0,
            )
        )
        nodes += [
            helper.make_node("Cast", ["code"], ["step"], to=TensorProto.DOUBLE),
            helper.make_node("Add", ["sum", "step"], ["logit"]),
        ]
    else:
        nodes.append(helper.make_node("Identity", ["sum"], ["logit"]))
    nodes.append(helper.make_node("Sigmoid", ["logit"], ["score"]))
    graph = helper.make_graph(
        nodes,
        "sum",
        inputs,
        [helper.make_tensor_value_info("score", TensorProto.DOUBLE, [None, 1])],
        [numpy_helper.from_array(np.array([1]), "axis")],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    wrapped = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    onnx.checker.check_model(wrapped)
    return bytes(wrapped.SerializeToString())


def golden(expected: Any, categories: bool) -> bytes:
    buffer = io.BytesIO()
    sample: dict[str, Any] = {"numeric": np.zeros((2, 2)), "score": expected}
    if categories:
        sample["categorical"] = np.array([["big"], [""]])
    np.savez(buffer, **sample)
    return buffer.getvalue()


def sigmoid(value: Any) -> Any:
    return 1 / (1 + np.exp(-np.asarray(value, dtype=np.float64)))


def bundle(folder: Path, *, categories: bool = True, files: dict[str, bytes] | None = None) -> str:
    names = [Input(name, "request", "double") for name in ("a", "b")]
    kinds = [Input("size", "request", "string")] if categories else []
    expected = sigmoid([[1.0], [0.0]] if categories else [[0.0], [0.0]])
    content = {MODEL: model(categories), GOLDEN: golden(expected, categories)}
    manifest = Manifest("orders", "run-1", "binary", "orders_v1", tuple(names), tuple(kinds), {})
    return write_bundle(folder, manifest, {**content, **(files or {})})


@pytest.mark.parametrize("categories", [True, False])
def test_a_bundle_scores_and_reproduces_its_golden_sample(tmp_path: Path, categories: bool) -> None:
    scorer = LocalBundles().open(str(tmp_path), bundle(tmp_path, categories=categories))
    assert (list(scorer.numeric), scorer.kind) == (["a", "b"], "binary")
    assert scorer.golden_difference() < 1e-12
    rows = 9000
    numeric = np.random.default_rng(0).normal(size=(rows, 2))
    kinds = np.full((rows, len(scorer.categorical)), "big", dtype=object)
    expected = sigmoid(numeric.sum(axis=1) + (1 if categories else 0))
    assert np.abs(scorer.score(numeric, kinds) - expected).max() < 1e-6


def test_a_different_golden_score_is_detected(tmp_path: Path) -> None:
    digest = bundle(tmp_path, files={GOLDEN: golden(np.array([0.9, np.nan]), True)})
    assert LocalBundles().open(f"file://{tmp_path}", digest).golden_difference() == np.inf


@pytest.mark.parametrize(
    ("files", "problem"),
    [({MODEL: b"no model"}, "is not an ONNX model"), ({GOLDEN: b"no sample"}, "golden.npz")],
)
def test_an_invalid_file_is_a_bundle_error(tmp_path: Path, files: dict[str, bytes], problem: str) -> None:
    digest = bundle(tmp_path, files=files)
    with pytest.raises(BundleError, match=problem):
        LocalBundles().open(str(tmp_path), digest).golden_difference()


def test_a_changed_file_is_a_bundle_error(tmp_path: Path) -> None:
    digest = bundle(tmp_path)
    (tmp_path / MODEL).write_bytes(model(categories=False))
    with pytest.raises(BundleError, match="sha256"):
        LocalBundles().open(str(tmp_path), digest)


def test_inputs_of_a_wrong_shape_are_a_bundle_error(tmp_path: Path) -> None:
    scorer = LocalBundles().open(str(tmp_path), bundle(tmp_path))
    with pytest.raises(BundleError, match="refuses its inputs"):
        scorer.score(np.zeros((3, 5)), np.full((3, 1), "", dtype=object))


def test_only_local_files_are_read() -> None:
    with pytest.raises(BundleError, match="only local files can be read"):
        local_path("s3://bucket/bundle")


def test_a_holdout_returns_columns_by_name_with_missing_values(tmp_path: Path) -> None:
    table = pa.table(
        {
            "size": pa.array(["big", None]),
            "b": pa.array([1, None], pa.int64()),
            "a": pa.array([0.5, 2.0]),
            "label": pa.array([True, False]),
            "score": [0.1, 0.2],
            "decision_time_ms": pa.array([1, 2], pa.int64()),
            "key": ["x", "y"],
        }
    )
    pq.write_table(table, tmp_path / "holdout.parquet")
    holdout = ParquetHoldouts().read(str(tmp_path / "holdout.parquet"))
    assert holdout.label.tolist() == [1.0, 0.0]
    assert holdout.numeric(["a", "b"])[:, 0].tolist() == [0.5, 2.0]
    assert np.isnan(holdout.numeric(["a", "b"])[1, 1])
    assert holdout.categorical(["size"]).tolist() == [["big"], [""]]
    assert holdout.missing(["a", "z"]) == ["z"]
    assert holdout.decision_time_ms.dtype == np.int64


def test_a_holdout_that_cannot_be_used_is_a_bundle_error(tmp_path: Path) -> None:
    path = tmp_path / "holdout.parquet"
    with pytest.raises(BundleError, match="no holdout"):
        ParquetHoldouts().read(str(path))
    pq.write_table(pa.table({"label": [1.0]}), path)
    with pytest.raises(BundleError, match="lacks score, decision_time_ms"):
        ParquetHoldouts().read(str(path))
