"""Models of other libraries, exported to ONNX, as a bundle's graph: the same scores from the loop's own inputs."""

from __future__ import annotations

import hashlib
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
from driftloop.model.losses import LabelKind
from driftloop.model.trainer import TrainingSet
from services.training.domain.matching import ImportOptions, ImportPlan, Link, Mismatch, match_inputs, match_output
from services.training.errors import ModelError
from services.training.importing.graph import open_graph, read
from services.training.importing.imported_model import ImportedModel, load_imported_model
from services.training.run.export import checked_scores
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
"""Between a library's own scores and its export's, in single precision."""


def rows(kind: str, count: int = 60) -> TrainingSet:
    numeric, place, _ = exported.rows(count, seed=5)
    return TrainingSet(
        numeric=np.column_stack([np.full(count, 9.0), numeric]),
        categorical=place[:, None],
        label=np.zeros(count),
        decision_time_ms=np.arange(count),
        key=np.array([str(each) for each in range(count)], dtype=object),
        numeric_names=[each.name for each in NUMERIC],
        categorical_names=[each.name for each in CATEGORICAL],
        classes=LOOP_CLASSES if kind == "multiclass" else (),
    )


def brought(
    content: bytes, kind: LabelKind, folder: Path, options: ImportOptions, data: TrainingSet | None = None
) -> ImportedModel:
    """The model as an import would load_imported_model it."""
    path = folder / "model.onnx"
    path.write_bytes(content)
    graph = open_graph(content)
    classes = LOOP_CLASSES if kind == "multiclass" else ()
    inputs = match_inputs(graph.inputs, [*NUMERIC, *CATEGORICAL], options)
    plan = ImportPlan(inputs, *match_output(graph.outputs, kind, classes, options), options.link)
    origin = ImportSpec(str(path), hashlib.sha256(content).hexdigest(), "model.onnx", plan)
    return load_imported_model(origin, data or rows(kind), (NUMERIC, CATEGORICAL), kind, threads=1)


def scores(model: ImportedModel, data: TrainingSet) -> NDArray[np.float64]:
    """What the bundle's graph says, held equal to the model as it came."""
    return checked_scores(model.to_onnx(), data, model.predict(data), threads=1)


def in_loops_order(of_classes: NDArray[np.float64]) -> NDArray[np.float64]:
    return of_classes[:, [CLASSES.index(name) for name in LOOP_CLASSES]]


@pytest.mark.parametrize("kind", ["binary", "regression", "count", "multiclass"])
@pytest.mark.parametrize(
    "make",
    [exported.sklearn_matrix, lambda kind: exported.sklearn_matrix(kind, zipmap=False), exported.xgboost_matrix],
    ids=["sklearn", "sklearn without maps", "xgboost"],
)
def test_a_model_over_a_matrix_scores_as_it_does_itself(make: Any, kind: LabelKind, tmp_path: Path) -> None:
    data, model = rows(kind), make(kind)
    options = ImportOptions(
        FEATURES, classes=CLASSES if make is exported.xgboost_matrix and kind == "multiclass" else ()
    )
    found = scores(brought(model.onnx, kind, tmp_path, options), data)
    expected = model.scores(data.numeric[:, 1:], data.categorical[:, 0])
    np.testing.assert_allclose(
        found, in_loops_order(expected) if kind == "multiclass" else expected, atol=GAP, rtol=GAP
    )


def test_named_columns_find_the_loops_inputs_by_their_names(tmp_path: Path) -> None:
    data, model = rows("binary"), exported.sklearn_pipeline()
    found = brought(model.onnx, "binary", tmp_path, ImportOptions({}))
    asked = {"reading": ["stations__reading"], "size": ["size"], "place": ["place"]}
    assert found.manifest()["inputs"] == asked
    expected = model.scores(data.numeric[:, 1:], data.categorical[:, 0])
    np.testing.assert_allclose(scores(found, data), expected, atol=GAP)


def softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(values)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


LINKS: Sequence[tuple[LabelKind, int, Link, Any]] = (
    ("regression", 1, "identity", lambda value: value),
    ("count", 1, "exp", np.exp),
    ("binary", 1, "sigmoid", lambda value: 1 / (1 + np.exp(-value))),
    ("multiclass", 3, "softmax", softmax),
)


@pytest.mark.parametrize(("kind", "outputs", "link", "through"), LINKS, ids=[each[2] for each in LINKS])
def test_a_torch_models_values_go_through_the_link(
    kind: LabelKind, outputs: int, link: Link, through: Any, tmp_path: Path
) -> None:
    data, model = rows(kind), exported.torch_matrix(outputs)
    found = scores(brought(model.onnx, kind, tmp_path, ImportOptions(FEATURES, link=link)), data)
    np.testing.assert_allclose(found, through(model.scores(data.numeric[:, 1:], data.categorical[:, 0])), atol=GAP)


@pytest.mark.parametrize(("kind", "outputs", "says"), [
    ("binary", 1, "--link sigmoid"), ("multiclass", 3, "--link softmax"), ("count", 1, "--link exp"),
])  # fmt: skip
def test_values_that_are_no_scores_are_refused_with_the_link_that_would_do(
    kind: LabelKind, outputs: int, says: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=says):
        brought(exported.torch_matrix(outputs).onnx, kind, tmp_path, ImportOptions(FEATURES)).predict(rows(kind))


def test_an_encoder_that_stops_at_a_new_word_is_refused_with_what_would_do() -> None:
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


def test_a_model_that_bears_no_missing_number_gets_the_median_of_the_loops_rows(tmp_path: Path) -> None:
    data = with_a_gap(rows("regression"))
    found = brought(exported.torch_matrix(1).onnx, "regression", tmp_path, ImportOptions(FEATURES), data)
    medians = {name: np.nanmedian(data.numeric[:, place]) for place, name in ((1, "stations__reading"), (2, "size"))}
    assert dict(found.fills) == pytest.approx(medians)
    filled = exported.torch_matrix(1).scores(np.array([[*medians.values()]]), data.categorical[:1, 0])
    assert scores(found, data)[0] == pytest.approx(filled[0], abs=GAP)


@pytest.mark.parametrize("make", [lambda: exported.xgboost_matrix("binary"), exported.sklearn_pipeline])
def test_a_model_that_bears_missing_numbers_gets_them(make: Any, tmp_path: Path) -> None:
    model: Exported = make()
    data = with_a_gap(rows("binary"))
    options = ImportOptions({}) if make is exported.sklearn_pipeline else ImportOptions(FEATURES)
    found = brought(model.onnx, "binary", tmp_path, options, data)
    assert dict(found.fills) == {}
    expected = model.scores(data.numeric[:, 1:], data.categorical[:, 0])
    np.testing.assert_allclose(scores(found, data), expected, atol=GAP)


def graph_of(
    inputs: Mapping[str, tuple[int, list[Any]]], nodes: list[Any], outputs: Mapping[str, tuple[int, list[Any]]],
    opset: int = 17, weights: Sequence[Any] = (),
) -> bytes:  # fmt: skip
    def values(told: Mapping[str, tuple[int, list[Any]]]) -> list[Any]:
        return [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in told.items()]

    graph = helper.make_graph(nodes, "small", values(inputs), values(outputs), list(weights))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return bytes(model.SerializeToString())


def test_whole_numbers_and_flat_columns_are_asked_in_their_own_shape(tmp_path: Path) -> None:
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
    found = brought(content, "regression", tmp_path, ImportOptions({"score": ["reading"]}), data)
    median = float(len(data.key)) / 2
    assert found.fills["size"] == median
    assert scores(found, data).tolist() == [2 * int(median), *(2.0 * each for each in range(1, len(data.key)))]


def test_an_old_opset_is_wrapped_as_it_is(tmp_path: Path) -> None:
    content = graph_of(
        {"features": (TensorProto.FLOAT, ["n", 2])},
        [helper.make_node("ReduceSum", ["features"], ["value"], axes=[1], keepdims=1)],
        {"value": (TensorProto.FLOAT, ["n", 1])},
        opset=9,
    )
    data = with_a_gap(rows("count"))
    found = brought(content, "count", tmp_path, ImportOptions(FEATURES, link="exp"), data)
    assert set(found.fills) == {"stations__reading", "size"}
    np.testing.assert_allclose(scores(found, data)[1:], np.exp(data.numeric[1:, 1:].sum(axis=1)), rtol=GAP)


def test_weights_in_files_beside_the_model_become_part_of_it(tmp_path: Path) -> None:
    model = onnx.load_from_string(exported.torch_matrix(1).onnx)
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    content = read(tmp_path / "m.onnx")
    (tmp_path / "m.data").unlink()
    data = rows("regression")
    found = scores(brought(content, "regression", tmp_path, ImportOptions(FEATURES)), data)
    expected = exported.torch_matrix(1).scores(data.numeric[:, 1:], data.categorical[:, 0])
    np.testing.assert_allclose(found, expected, atol=GAP)


def test_what_cannot_be_asked_is_told_in_a_line(tmp_path: Path) -> None:
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


def test_another_file_than_the_one_that_was_imported_is_refused(tmp_path: Path) -> None:
    model = brought(exported.torch_matrix(1).onnx, "regression", tmp_path, ImportOptions(FEATURES))
    Path(model.origin.path).write_bytes(exported.torch_matrix(2).onnx)
    with pytest.raises(ModelError, match="not the file that was imported"):
        load_imported_model(model.origin, rows("regression"), (NUMERIC, CATEGORICAL), "regression", threads=1)
