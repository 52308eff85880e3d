"""A fit on generated rows reports what the files of a loop do not show: one edit of a valid trainer each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from driftloop.loop import load_loop
from services.training.errors import ModelError
from services.training.fit_check import check_fit
from services.training.run.export_check import check_range
from services.training.run.generated_rows import generated_rows
from tests.helpers.editing import copied_orders, replace_first, replace_once
from tests.helpers.loop_definition import loop_definition

SCORE = "np.asarray(np.exp(np.clip(log_mean, LEAST_LOG, GREATEST_LOG)))"
SHIFTED = "model.intercept + float(shift)"
FEATURES = [("shop__count", "double"), ("shop__sum", "double")]

MODEL = {
    "parameter that loop.yaml lacks": ('parameters["ridge"]', 'parameters["rigde"]', "has no 'rigde'"),
    "logarithm instead of a count": (SCORE, "np.asarray(log_mean)", "not an expected count|not finite"),
    "export without the exponential": (
        'node("Exp", ["clipped"], ["score"])',
        'node("Identity", ["clipped"], ["score"])',
        "the ONNX export differs",
    ),
    "export with other weights": (
        '"intercept": np.array([[self.intercept]])',
        '"intercept": np.array([[self.intercept + 1]])',
        "the ONNX export differs",
    ),
    "export that fills missing values otherwise": (
        '["absent", "centre", "logs"]',
        '["absent", "zero", "logs"]',
        "the ONNX export differs",
    ),
    "export that does not know unseen words": ("zeros=1,", "zeros=0,", "ONNX Runtime cannot run the export"),
    "export of a fixed number of rows": (
        '"numeric", TensorProto.DOUBLE, ["n"',
        '"numeric", TensorProto.DOUBLE, [120',
        "of one row: ONNX Runtime cannot run the export",
    ),
    "output of another name": ('value_info("score"', 'value_info("scores"', "score"),
    "scores of another shape": (SCORE, f"{SCORE}[:, None]", "shape"),
    "missing value becomes NaN": (
        "(np.where(np.isnan(numeric), centre, logs) - centre) / scale",
        "(logs - centre) / scale",
        "not finite",
    ),
    "random number without the seed": (
        SHIFTED,
        f"{SHIFTED} + np.random.random()",
        "two fits with the same seed differ",
    ),
    "fit without a result": (
        "        return ReturnsModel(centre, scale, model.weights",
        "        ReturnsModel(centre, scale, model.weights",
        "no method `predict`",
    ),
    "model without an export": ("def to_onnx(self)", "def to_onx(self)", "no method `to_onnx`"),
    "misspelt attribute": ("z @ self.weights", "z @ self.weigths", "AttributeError"),
    "wrong number of arguments": ("_newton(matrix, train.label, float", "_newton(matrix, float", "TypeError"),
    "text as a number": ('float(parameters["ridge"])', 'float("ridge")', "ValueError"),
}
"""Edits of ``model.py``: old text, new text, and what the report says."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return the folder of a copy of a valid loop; its modules are imported again."""
    with copied_orders(tmp_path) as copy:
        yield copy


def test_a_valid_trainer_has_no_problem(folder: Path) -> None:
    assert check_fit(load_loop(folder), FEATURES) == []


@pytest.mark.parametrize(("old", "new", "says"), MODEL.values(), ids=MODEL)
def test_an_edit_of_the_trainer_is_reported_at_its_line(folder: Path, old: str, new: str, says: str) -> None:
    replace_first(folder / "model.py", old, new)
    [problem] = check_fit(load_loop(folder), FEATURES)
    file, line, message = problem.split(":", 2)
    assert Path(file) == folder / "model.py"
    assert int(line) > 1
    assert re.search(says, message), message


def test_a_parameter_missing_in_the_definition_is_reported(folder: Path) -> None:
    replace_once(folder / "loop.yaml", "{ridge: 1.0, steps: 25}", "{ridge: 1.0}")
    [problem] = check_fit(load_loop(folder), FEATURES)
    assert "training.parameters of loop.yaml has no 'steps'" in problem


@pytest.mark.parametrize(
    ("kind", "scores", "says"),
    [
        ("binary", [-2.0, 3.0], "not probabilities; apply a sigmoid"),
        ("multiclass", [[-2.0, 3.0], [0.5, 0.5]], "not probabilities; apply a softmax"),
        ("count", [-0.5, 3.0], "not an expected count"),
        ("regression", [float("inf"), 3.0], "not finite"),
    ],
)
def test_impossible_scores_are_refused_by_kind(kind: str, scores: list[float], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        check_range(np.array(scores), kind)  # type: ignore[arg-type]


INPUTS = {"size": {"type": "double"}, "shop": {"type": "string"}, "id": {"type": "int64", "model": False}}


@pytest.mark.parametrize("kind", ["binary", "count", "regression", "multiclass"])
def test_generated_rows_satisfy_the_rules_and_have_every_class(kind: str) -> None:
    classes = {"classes": ["a", "b", "c"]} if kind == "multiclass" else {}
    rules = {"size": {"min": 5, "max": 9}, "shop": {"enum": ["x", "y"]}}
    events = {
        event: {"message": "o.v1.X", "id": "id", "key": "order", "time": "at", "rules": rules}
        for event in ("placed", "returned")
    }
    definition = loop_definition(
        events=events,
        label={"kind": kind, **classes},
        prediction={
            "inputs": {"size": {"type": "double"}, "shop": {"type": "string"}, "id": {"type": "int64", "model": False}}
        },
    )
    rows = generated_rows(definition, [("v__f", "double"), ("v__t", "string")], 200, seed=3)
    assert (rows.numeric_names, rows.categorical_names) == (["v__f", "size"], ["v__t", "shop"])
    size = rows.numeric[:, 1][~np.isnan(rows.numeric[:, 1])]
    assert 5 <= size.min() <= size.max() <= 9
    assert np.isnan(rows.numeric).any()
    assert set(rows.categorical[:, 1]) == {"x", "y", ""}
    assert len(set(rows.label)) >= (3 if kind == "multiclass" else 2)
    again = generated_rows(definition, [("v__f", "double"), ("v__t", "string")], 200, seed=3)
    np.testing.assert_array_equal(rows.numeric, again.numeric)
