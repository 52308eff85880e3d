"""Tests that models of other libraries give the same scores from a bundle's graph."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from driftloop.model.bundle import Input
from driftloop.model.labels import LabelKind
from driftloop.model.trainer import TrainingSet
from driftloop.process.settings import ROOT
from services.training.domain.matching import ImportOptions, ImportPlan, Link, Mismatch, match_inputs, match_output
from services.training.errors import ModelError
from services.training.importing.graph import open_graph, read
from services.training.importing.imported_model import ImportedModel, load_imported_model
from services.training.run.export_check import checked_scores
from services.training.spec import ImportSpec
from tests.helpers import exported
from tests.helpers.exported import CLASSES, Exported

pytestmark = pytest.mark.integration

NUMERIC = (
    Input("weather__wind", "feature", "double", "weather", "wind"),
    Input("stations__reading", "feature", "double", "stations", "reading"),
    Input("size", "request", "double"),
)
CATEGORICAL = (Input("place", "request", "string"),)
LOOP_CLASSES = ("low", "middle", "high")
FEATURES = {"": ("reading", "size")}
GAP = 1e-5
"""Largest difference between a library's scores and its export's, in single precision."""


def rows(kind: str, count: int = 60) -> TrainingSet:
    numeric, places, _ = exported.rows(count, seed=5)
    return TrainingSet(
        numeric=np.column_stack([np.full(count, 9.0), numeric]),
        categorical=places[:, None],
        label=np.zeros(count),
        decision_time_ms=np.arange(count),
        key=np.array([str(row) for row in range(count)], dtype=object),
        numeric_names=[number.name for number in NUMERIC],
        categorical_names=[string.name for string in CATEGORICAL],
        classes=LOOP_CLASSES if kind == "multiclass" else (),
    )


def import_model(
    content: bytes, kind: LabelKind, folder: Path, options: ImportOptions, data: TrainingSet | None = None
) -> ImportedModel:
    """Return the model as an import loads it."""
    path = folder / "model.onnx"
    path.write_bytes(content)
    graph = open_graph(content)
    classes = LOOP_CLASSES if kind == "multiclass" else ()
    inputs = match_inputs(graph.inputs, [*NUMERIC, *CATEGORICAL], options)
    plan = ImportPlan(inputs, *match_output(graph.outputs, kind, classes, options), options.link)
    origin = ImportSpec(str(path), hashlib.sha256(content).hexdigest(), "model.onnx", plan)
    return load_imported_model(origin, data or rows(kind), (NUMERIC, CATEGORICAL), kind, threads=1)


def scores(model: ImportedModel, data: TrainingSet) -> NDArray[np.float64]:
    """Return the scores of the bundle's graph; they must equal the imported model's."""
    return checked_scores(model.to_onnx(), data, model.predict(data), threads=1)


def in_loops_order(of_classes: NDArray[np.float64]) -> NDArray[np.float64]:
    return of_classes[:, [CLASSES.index(name) for name in LOOP_CLASSES]]


@pytest.mark.parametrize("kind", ["binary", "regression", "count", "multiclass"])
@pytest.mark.parametrize(
    "make",
    [exported.sklearn_matrix, lambda kind: exported.sklearn_matrix(kind, zipmap=False), exported.xgboost_matrix],
    ids=["sklearn", "sklearn without maps", "xgboost"],
)
def test_an_imported_matrix_model_gives_its_own_scores(make: Any, kind: LabelKind, tmp_path: Path) -> None:
    data, model = rows(kind), make(kind)
    options = ImportOptions(
        FEATURES, classes=CLASSES if make is exported.xgboost_matrix and kind == "multiclass" else ()
    )
    computed = scores(import_model(model.onnx, kind, tmp_path, options), data)
    expected = model.scores(data.numeric[:, 1:], data.categorical[:, 0])
    np.testing.assert_allclose(
        computed, in_loops_order(expected) if kind == "multiclass" else expected, atol=GAP, rtol=GAP
    )


def test_named_columns_match_the_loops_inputs(tmp_path: Path) -> None:
    data, model = rows("binary"), exported.sklearn_pipeline()
    loaded = import_model(model.onnx, "binary", tmp_path, ImportOptions({}))
    expected_inputs = {"reading": ["stations__reading"], "size": ["size"], "place": ["place"]}
    assert loaded.manifest()["inputs"] == expected_inputs
    expected = model.scores(data.numeric[:, 1:], data.categorical[:, 0])
    np.testing.assert_allclose(scores(loaded, data), expected, atol=GAP)


def recipe(library: str) -> list[str]:
    """Return the code of a library's row in the README's table of exports."""
    [row] = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith(f"| {library} | ")]
    return re.findall(r"`([^`]+)`", row)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_recipe_for_scikit_learn_exports_a_model_fitted_on_any_float(dtype: str, tmp_path: Path) -> None:
    import skl2onnx

    code = recipe("scikit-learn")[0]
    data = rows("binary")
    model = exported.sklearn_pipeline(
        dtype, lambda model, frame: eval(code, {"skl2onnx": skl2onnx, "model": model, "frame": frame})
    )
    loaded = import_model(model.onnx, "binary", tmp_path, ImportOptions({}))
    expected = model.scores(data.numeric[:, 1:], data.categorical[:, 0])
    np.testing.assert_allclose(scores(loaded, data), expected, atol=10 * GAP)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("framed", [False, True], ids=["matrix", "data frame"])
def test_the_recipe_for_xgboost_exports_a_model_fitted_on_any_float(dtype: str, framed: bool, tmp_path: Path) -> None:
    import onnxmltools
    import pandas as pd
    import xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    code, _, unname = recipe("XGBoost")
    numeric, _, signal = exported.rows()
    fitted_on = pd.DataFrame(numeric, columns=["reading", "size"]).astype(dtype)
    labels = exported.labels("binary", signal)
    model = xgboost.XGBClassifier(n_estimators=5, max_depth=2, nthread=1)
    model.fit(fitted_on if framed else fitted_on.to_numpy(), labels)
    data = rows("binary")
    asked = pd.DataFrame(data.numeric[:, 1:], columns=["reading", "size"]).astype(dtype)
    expected = np.asarray(model.predict_proba(asked if framed else asked.to_numpy())[:, 1], dtype=np.float64)
    names = {"onnxmltools": onnxmltools, "FloatTensorType": FloatTensorType, "model": model}
    if framed:
        exec(unname, names)
    content = eval(code, names).SerializeToString()
    loaded = import_model(content, "binary", tmp_path, ImportOptions(FEATURES))
    np.testing.assert_allclose(scores(loaded, data), expected, atol=GAP)


def test_a_float64_export_that_cannot_run_says_what_to_do(tmp_path: Path) -> None:
    model = exported.sklearn_pipeline("float64")
    with pytest.raises(Mismatch, match=r"export the model with float32 for reading, size \(skl2onnx"):
        import_model(model.onnx, "binary", tmp_path, ImportOptions({}))


def softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(values)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


LINKS: Sequence[tuple[LabelKind, int, Link, Any]] = (
    ("regression", 1, "identity", lambda value: value),
    ("count", 1, "exp", np.exp),
    ("binary", 1, "sigmoid", lambda value: 1 / (1 + np.exp(-value))),
    ("multiclass", 3, "softmax", softmax),
)


@pytest.mark.parametrize(("kind", "outputs", "link", "function"), LINKS, ids=[link for _, _, link, _ in LINKS])
def test_the_link_is_applied_to_a_torch_models_values(
    kind: LabelKind, outputs: int, link: Link, function: Any, tmp_path: Path
) -> None:
    data, model = rows(kind), exported.torch_matrix(outputs)
    computed = scores(import_model(model.onnx, kind, tmp_path, ImportOptions(FEATURES, link=link)), data)
    np.testing.assert_allclose(computed, function(model.scores(data.numeric[:, 1:], data.categorical[:, 0])), atol=GAP)


@pytest.mark.parametrize(("kind", "outputs", "message"), [
    ("binary", 1, "--link sigmoid"), ("multiclass", 3, "--link softmax"), ("count", 1, "--link exp"),
])  # fmt: skip
def test_values_that_are_not_scores_are_refused_with_a_link_that_fits(
    kind: LabelKind, outputs: int, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=message):
        import_model(exported.torch_matrix(outputs).onnx, kind, tmp_path, ImportOptions(FEATURES)).predict(rows(kind))


def test_an_encoder_that_fails_on_unknown_texts_is_refused_with_a_fix() -> None:
    place = helper.make_tensor_value_info("place", TensorProto.STRING, ["n", 1])
    hot = helper.make_tensor_value_info("hot", TensorProto.FLOAT, None)
    strict = helper.make_node("OneHotEncoder", ["place"], ["hot"], domain="ai.onnx.ml", cats_strings=["north"], zeros=0)
    graph = helper.make_graph([strict], "strict", [place], [hot])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    with pytest.raises(Mismatch, match=r"cannot run it on 3 rows: .*handle_unknown=\"ignore\""):
        open_graph(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


def with_a_gap(data: TrainingSet) -> TrainingSet:
    numeric = data.numeric.copy()
    numeric[0, 1:] = np.nan
    return replace(data, numeric=numeric)


def test_a_model_that_rejects_missing_numbers_gets_medians(tmp_path: Path) -> None:
    data = with_a_gap(rows("regression"))
    loaded = import_model(exported.torch_matrix(1).onnx, "regression", tmp_path, ImportOptions(FEATURES), data)
    medians = {name: np.nanmedian(data.numeric[:, column]) for column, name in ((1, "stations__reading"), (2, "size"))}
    assert dict(loaded.fills) == pytest.approx(medians)
    filled = exported.torch_matrix(1).scores(np.array([[*medians.values()]]), data.categorical[:1, 0])
    assert scores(loaded, data)[0] == pytest.approx(filled[0], abs=GAP)


@pytest.mark.parametrize("make", [lambda: exported.xgboost_matrix("binary"), exported.sklearn_pipeline])
def test_a_model_that_accepts_missing_numbers_gets_them(make: Any, tmp_path: Path) -> None:
    model: Exported = make()
    data = with_a_gap(rows("binary"))
    options = ImportOptions({}) if make is exported.sklearn_pipeline else ImportOptions(FEATURES)
    loaded = import_model(model.onnx, "binary", tmp_path, options, data)
    assert dict(loaded.fills) == {}
    expected = model.scores(data.numeric[:, 1:], data.categorical[:, 0])
    np.testing.assert_allclose(scores(loaded, data), expected, atol=GAP)


def graph_of(
    inputs: Mapping[str, tuple[int, list[Any]]], nodes: list[Any], outputs: Mapping[str, tuple[int, list[Any]]],
    opset: int = 17, weights: Sequence[Any] = (),
) -> bytes:  # fmt: skip
    def values(tensors: Mapping[str, tuple[int, list[Any]]]) -> list[Any]:
        return [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in tensors.items()]

    graph = helper.make_graph(nodes, "small", values(inputs), values(outputs), list(weights))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return bytes(model.SerializeToString())


def test_integers_and_flat_columns_keep_their_type_and_shape(tmp_path: Path) -> None:
    content = graph_of(
        {"size": (TensorProto.INT64, ["n"]), "score": (TensorProto.DOUBLE, ["n", 1])},
        [
            helper.make_node("Cast", ["size"], ["numeric"], to=TensorProto.DOUBLE),
            helper.make_node("Flatten", ["score"], ["flat"], axis=0),
            helper.make_node("Add", ["numeric", "numeric"], ["value"]),
        ],
        {"value": (TensorProto.DOUBLE, ["n"])},
    )
    data = rows("regression")
    data.numeric[:, 2] = [np.nan, *range(1, len(data.key))]
    loaded = import_model(content, "regression", tmp_path, ImportOptions({"score": ["reading"]}), data)
    median = float(len(data.key)) / 2
    assert loaded.fills["size"] == median
    assert scores(loaded, data).tolist() == [2 * int(median), *(2.0 * row for row in range(1, len(data.key)))]


def test_an_old_opset_is_wrapped_unchanged(tmp_path: Path) -> None:
    content = graph_of(
        {"features": (TensorProto.FLOAT, ["n", 2])},
        [helper.make_node("ReduceSum", ["features"], ["value"], axes=[1], keepdims=1)],
        {"value": (TensorProto.FLOAT, ["n", 1])},
        opset=9,
    )
    data = with_a_gap(rows("count"))
    loaded = import_model(content, "count", tmp_path, ImportOptions(FEATURES, link="exp"), data)
    assert set(loaded.fills) == {"stations__reading", "size"}
    np.testing.assert_allclose(scores(loaded, data)[1:], np.exp(data.numeric[1:, 1:].sum(axis=1)), rtol=GAP)


def test_external_weights_become_part_of_the_model(tmp_path: Path) -> None:
    model = onnx.load_from_string(exported.torch_matrix(1).onnx)
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    content = read(tmp_path / "m.onnx")
    (tmp_path / "m.data").unlink()
    data = rows("regression")
    computed = scores(import_model(content, "regression", tmp_path, ImportOptions(FEATURES)), data)
    expected = exported.torch_matrix(1).scores(data.numeric[:, 1:], data.categorical[:, 0])
    np.testing.assert_allclose(computed, expected, atol=GAP)


def test_a_model_that_cannot_run_is_refused_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(b"no model")
    with pytest.raises(Mismatch, match="not a readable ONNX model"):
        read(tmp_path / "no.onnx")
    with pytest.raises(Mismatch, match="not a readable ONNX model"):
        read(tmp_path / "absent.onnx")
    with pytest.raises(Mismatch, match="takes exactly 1 rows: export it for any number of rows"):
        open_graph(exported.torch_matrix(1, fixed=True).onnx)
    old = graph_of({"x": (1, ["n", 1])}, [helper.make_node("Relu", ["x"], ["y"])], {"y": (1, ["n", 1])}, opset=8)
    with pytest.raises(Mismatch, match="opset 8: export it with opset 9 or newer"):
        open_graph(old)
    strange = graph_of({"x": (1, ["n", 1])}, [helper.make_node("Glow", ["x"], ["y"])], {"y": (1, ["n", 1])})
    with pytest.raises(Mismatch, match=r"ONNX Runtime cannot load it: .*Glow"):
        open_graph(strange)


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    model = import_model(exported.torch_matrix(1).onnx, "regression", tmp_path, ImportOptions(FEATURES))
    Path(model.origin.path).write_bytes(exported.torch_matrix(2).onnx)
    with pytest.raises(ModelError, match="not the file that was imported"):
        load_imported_model(model.origin, rows("regression"), (NUMERIC, CATEGORICAL), "regression", threads=1)
