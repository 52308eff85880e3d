"""The trainer on made-up rows: the exported graph is the trained function, and the same seed gives the same bytes."""

from dataclasses import replace

import numpy as np
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray

from driftloop.loop import Loop
from driftloop.model.trainer import Fitted, Parameters, TrainingSet
from driftloop.ops.checks.features import declared_views
from driftloop.process.settings import ROOT
from loops.flights.model import Trainer, intercept

pytestmark = pytest.mark.integration

TOLERANCE = 1e-6
DAY = 86_400_000


@pytest.fixture(scope="module")
def names(loop: Loop) -> tuple[list[str], list[str]]:
    """Numeric and categorical inputs as training names them."""
    views = declared_views("flights", ROOT / "feature_repo")
    features = [
        f"{view.name}__{name}" for view in views for name in [*view.columns, *(total.name for total in view.aggregates)]
    ]
    inputs = {name: item for name, item in loop.definition.prediction.inputs.items() if item.model}
    numeric = [*features, *(name for name, item in inputs.items() if item.type == "double")]
    return numeric, [name for name, item in inputs.items() if item.type == "string"]


def made_up(names: tuple[list[str], list[str]], rows: int, seed: int) -> TrainingSet:
    draw = np.random.default_rng(seed)
    numeric = draw.uniform(0, 40, (rows, len(names[0])))
    numeric[draw.random(numeric.shape) < 0.1] = np.nan
    words = {"carrier": ["UA", "DL", ""], "origin": ["EWR", "JFK"], "dest": ["SFO", "ORD", "BOS", "élan"]}
    categorical = np.column_stack([draw.choice(np.array(words[name], object), rows) for name in names[1]])
    late = np.where(categorical[:, 0] == "UA", 0.7, 0.2)
    return TrainingSet(
        numeric, categorical, (draw.random(rows) < late).astype(float), np.arange(rows) * (DAY // 100),
        np.array([str(number) for number in range(rows)], object), *names,
    )  # fmt: skip


@pytest.fixture(scope="module")
def parameters(loop: Loop) -> Parameters:
    return {**loop.definition.training.parameters, "epochs": 12, "batch_rows": 64, "members": 3}


@pytest.fixture(scope="module")
def fitted(names: tuple[list[str], list[str]], parameters: Parameters) -> Fitted:
    torch.set_num_threads(1)
    return Trainer().fit(made_up(names, 1200, 1), made_up(names, 300, 2), parameters=parameters, seed=5)


def by_graph(model: bytes, data: TrainingSet) -> NDArray[np.float64]:
    session = ort.InferenceSession(model)
    [score] = session.run(["score"], {"numeric": data.numeric, "categorical": data.categorical})
    assert score.shape == (len(data.label), 1)
    return np.asarray(score[:, 0])


@pytest.mark.parametrize("rows", [1, 2, 3, 257])
def test_the_graph_scores_as_torch_does(fitted: Fitted, names: tuple[list[str], list[str]], rows: int) -> None:
    data = made_up(names, rows, 3)
    np.testing.assert_allclose(by_graph(fitted.to_onnx(), data), fitted.predict(data), rtol=0, atol=TOLERANCE)


def test_missing_values_and_unknown_words_get_a_score(fitted: Fitted, names: tuple[list[str], list[str]]) -> None:
    data = made_up(names, 4, 4)
    nothing = replace(
        data, numeric=np.full_like(data.numeric, np.nan), categorical=np.full_like(data.categorical, "never heard of")
    )
    scores = by_graph(fitted.to_onnx(), nothing)
    assert ((scores > 0) & (scores < 1)).all()
    np.testing.assert_allclose(scores, fitted.predict(nothing), rtol=0, atol=TOLERANCE)


def test_it_learns_which_word_means_late(fitted: Fitted, names: tuple[list[str], list[str]]) -> None:
    data = made_up(names, 400, 6)
    scores, united = fitted.predict(data), data.categorical[:, 0] == "UA"
    assert scores[united].mean() > scores[~united].mean() + 0.1


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    names: tuple[list[str], list[str]], parameters: Parameters
) -> None:
    def model(seed: int) -> bytes:
        sets = made_up(names, 400, 1), made_up(names, 300, 2)
        return Trainer().fit(*sets, parameters={**parameters, "epochs": 1}, seed=seed).to_onnx()

    assert model(1) == model(1)
    assert model(1) != model(2)


def test_a_count_without_its_sum_is_refused(names: tuple[list[str], list[str]], parameters: Parameters) -> None:
    renamed = [name.replace("__sum_late_", "__total_late_") for name in names[0]]
    data = replace(made_up(names, 50, 1), numeric_names=renamed)
    with pytest.raises(ValueError, match="__sum_late_"):
        Trainer().fit(data, data, parameters=parameters, seed=0)


def test_the_intercept_moves_by_what_goes_beyond_one_standard_error_over_days() -> None:
    day = np.repeat(np.arange(10), 100)
    logit = np.zeros(1000)
    agreed = np.tile(np.arange(100) < 80, 10).astype(float)
    assert intercept(logit, agreed, day) == pytest.approx(np.log(0.8 / 0.2), abs=1e-9)
    torn = np.where(day % 2 == 0, 1.0, 0.0)
    assert intercept(logit, torn, day) == 0.0
    assert intercept(logit, agreed, np.zeros(1000, int)) == 0.0
