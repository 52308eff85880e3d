from __future__ import annotations

from typing import Any

import pytest

from driftloop.model.bundle import Input
from services.training.domain.matching import ImportOptions, Mismatch, Tensor, match_inputs, match_output

OWN = (
    Input("shelf__units", "feature", "double", "shelf", "units"),
    Input("returns__units", "feature", "double", "returns", "units"),
    Input("returns__count", "feature", "double", "returns", "count"),
    Input("lines", "request", "double"),
    Input("channel", "request", "string"),
)
CLASSES = ("none", "few", "many")
MATRIX = Tensor("features", "float", (None, 2))


def options(*columns: str, **more: Any) -> ImportOptions:
    return ImportOptions({"": columns} if columns else {}, **more)


def test_a_matrix_takes_the_named_columns_in_order() -> None:
    assert match_inputs([MATRIX], OWN, options("lines", "shelf__units")) == (("features", ("lines", "shelf__units")),)


def test_a_feature_is_named_by_view_or_by_its_unique_name() -> None:
    [(_, names)] = match_inputs([MATRIX], OWN, options("shelf:units", "count"))
    assert names == ("shelf__units", "returns__count")
    with pytest.raises(Mismatch, match="the loop has no input 'units'; it has shelf__units, returns__units"):
        match_inputs([MATRIX], OWN, options("units", "count"))


def test_single_columns_match_by_name() -> None:
    tensors = [Tensor("channel", "string", (None, 1)), Tensor("lines", "int64", (None,)), Tensor("x", "double", None)]
    matches = match_inputs(tensors, OWN, ImportOptions({"x": ["count"]}))
    assert matches == (("channel", ("channel",)), ("lines", ("lines",)), ("x", ("returns__count",)))


@pytest.mark.parametrize(
    ("tensors", "given", "message"),
    [
        ([MATRIX], options(), "takes 2 columns and its name is not an input of the loop: list its columns in order"),
        ([MATRIX], options("lines"), "takes 2 columns, but --columns names 1"),
        ([MATRIX], options("lines", "channel"), "takes float, but channel is a string"),
        (
            [MATRIX],
            ImportOptions({"other": ["lines"]}),
            "--columns names 'other', which is not an input of the model; it has f",
        ),
        ([MATRIX, MATRIX], options("lines"), "use --columns INPUT=NAME,NAME,... for each"),
        ([Tensor("channel", "float", (None, 1))], options(), "takes float, but channel is a string"),
        ([Tensor("lines", "bool", (None, 1))], options(), "takes bool; it must take numbers or strings"),
        ([Tensor("lines", "float", (1, 1))], options(), "takes exactly 1 rows"),
        ([Tensor("lines", "float", (None, 1, 1))], options(), "has 3 axes"),
    ],
)
def test_inputs_that_do_not_match_are_reported(tensors: list[Tensor], given: ImportOptions, message: str) -> None:
    with pytest.raises(Mismatch) as error:
        match_inputs(tensors, OWN, given)
    assert message in str(error.value)


def output(width: int, *classes: str, name: str = "scores", dtype: str = "float") -> Tensor:
    return Tensor(name, dtype, (None, width), classes)


@pytest.mark.parametrize(
    ("tensors", "kind", "given", "columns"),
    [
        ([output(1)], "regression", options(), (0,)),
        ([Tensor("scores", "double", (None,))], "count", options(), (0,)),
        ([output(1)], "binary", options(), (0,)),
        ([output(2)], "binary", options(), (1,)),
        ([output(2, "1", "0")], "binary", options(), (0,)),
        ([output(2, "False", "True")], "binary", options(), (1,)),
        ([output(2, "kept", "back")], "binary", options(positive="back"), (1,)),
        ([output(2)], "binary", options(classes=("back", "kept"), positive="back"), (0,)),
        ([output(3)], "multiclass", options(), (0, 1, 2)),
        ([output(3, "0", "1", "2")], "multiclass", options(), (0, 1, 2)),
        ([output(3, "2", "0", "1")], "multiclass", options(), (1, 2, 0)),
        ([output(3, "few", "many", "none")], "multiclass", options(), (2, 0, 1)),
        ([output(3, "a", "b", "c")], "multiclass", options(classes=("many", "none", "few")), (1, 2, 0)),
        ([output(1, dtype="int64", name="label"), output(2)], "binary", options(), (1,)),
        ([output(1, name="other"), output(1)], "count", options(output="scores"), (0,)),
    ],
)
def test_the_score_is_selected_among_the_outputs(
    tensors: list[Tensor], kind: Any, given: ImportOptions, columns: tuple[int, ...]
) -> None:
    classes = CLASSES if kind == "multiclass" else ()
    assert match_output(tensors, kind, classes, given) == ("scores", columns)


@pytest.mark.parametrize(
    ("tensors", "kind", "given", "message"),
    [
        ([output(1, dtype="int64", name="label")], "binary", options(), "only label: export it with its probabilities"),
        ([output(1), output(1, name="b")], "count", options(), "the outputs scores, b: name the one with the scores"),
        ([output(1)], "count", options(output="c"), "it has no numeric output 'c'; it has scores"),
        ([output(2, "kept", "back")], "binary", options(), "are kept, back: name the one that is the loop's 1"),
        ([output(2)], "binary", options(positive="x"), "have no names: list them in order with --classes"),
        ([output(3)], "binary", options(), "has 3 columns, but a binary loop needs the probability of 1"),
        ([output(2)], "regression", options(), "has 2 columns, but a regression loop needs one number"),
        ([output(2)], "multiclass", options(), "has 2 columns, but the loop has 3 classes"),
        (
            [output(3, "a", "b", "c")],
            "multiclass",
            options(),
            "its classes are a, b, c, the loop's are none, few, many",
        ),
    ],
)
def test_outputs_without_a_score_are_reported(
    tensors: list[Tensor], kind: Any, given: ImportOptions, message: str
) -> None:
    with pytest.raises(Mismatch) as error:
        match_output(tensors, kind, CLASSES if kind == "multiclass" else (), given)
    assert message in str(error.value)
