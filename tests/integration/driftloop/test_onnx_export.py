"""torch modules with strings in front."""

import numpy as np
import onnxruntime as ort
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from driftloop.model.onnx_export import encode, export

pytestmark = pytest.mark.integration

WORDS = [["red", "green"], ["green", "blue", "grün"]]


class Sum(torch.nn.Module):
    """Row sum of the numbers, and each code times ten to its place."""

    def forward(self, numeric: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        return numeric.sum(1, keepdim=True) + 10.0 * codes[:, 0:1] + 100.0 * codes[:, 1:2]


class Double(torch.nn.Module):
    def forward(self, numeric: torch.Tensor) -> torch.Tensor:
        return 2.0 * numeric


@pytest.fixture(scope="module")
def session() -> ort.InferenceSession:
    return ort.InferenceSession(export(Sum().double().eval(), numeric=2, vocabularies=WORDS))


def test_inputs_and_output_are_those_of_a_bundle(session: ort.InferenceSession) -> None:
    assert [(each.name, each.type) for each in session.get_inputs()] == [
        ("numeric", "tensor(double)"),
        ("categorical", "tensor(string)"),
    ]
    assert [(each.name, each.type) for each in session.get_outputs()] == [("score", "tensor(double)")]


@given(
    st.lists(
        st.tuples(st.sampled_from(["red", "green", "", "?"]), st.sampled_from(["blue", "grün", "red"])), min_size=1
    )
)
def test_a_string_has_its_columns_code_and_an_unknown_one_none(
    session: ort.InferenceSession, rows: list[tuple[str, str]]
) -> None:
    strings = np.array(rows, object).reshape(len(rows), 2)
    numeric = np.full((len(rows), 2), 0.25)
    [score] = session.run(None, {"numeric": numeric, "categorical": strings})
    codes = [encode(words, list(column)) for words, column in zip(WORDS, strings.T, strict=True)]
    np.testing.assert_array_equal(score[:, 0], 0.5 + 10.0 * np.array(codes[0]) + 100.0 * np.array(codes[1]))


def test_the_same_word_may_have_another_code_in_another_column() -> None:
    assert encode(WORDS[0], ["green", "nothing"]) == [2, 0]
    assert encode(WORDS[1], ["green"]) == [1]


def test_without_strings_there_is_no_such_input() -> None:
    session = ort.InferenceSession(export(Double().eval(), numeric=1, vocabularies=[]))
    assert [each.name for each in session.get_inputs()] == ["numeric"]
    [score] = session.run(None, {"numeric": np.array([[1.5], [np.nan]])})
    np.testing.assert_array_equal(score, [[3.0], [np.nan]])


def test_the_same_module_gives_the_same_bytes() -> None:
    first, second = (export(Sum().double().eval(), numeric=2, vocabularies=WORDS) for _ in range(2))
    assert first == second
