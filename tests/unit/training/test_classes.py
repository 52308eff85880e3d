"""Tests of a run's bundle and holdout when the label has classes."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from driftloop.model.bundle import open_bundle
from driftloop.model.losses import losses
from driftloop.model.trainer import TrainingSet
from services.evaluation.adapters.bundles import LocalBundles
from services.evaluation.adapters.holdouts import ParquetHoldouts
from services.training.errors import ModelError
from services.training.run import package
from services.training.run.dataset import Dataset, read_dataset, write_dataset
from services.training.run.export_check import checked_scores, run
from tests.unit.serving.harness import CATEGORICAL, CLASSES, NUMERIC, OF_CLASSES, graph, probabilities, score
from tests.unit.training.fakes import spec_in

ROWS = 40


@pytest.fixture
def rows() -> TrainingSet:
    random = np.random.default_rng(0)
    return TrainingSet(
        numeric=random.normal(size=(ROWS, len(NUMERIC))),
        categorical=random.choice(np.array(["north", "south", ""], dtype=object), (ROWS, len(CATEGORICAL))),
        label=random.integers(0, 3, ROWS).astype(np.float64),
        decision_time_ms=np.arange(ROWS),
        key=np.array([f"p{n}" for n in range(ROWS)], dtype=object),
        numeric_names=[number.name for number in NUMERIC],
        categorical_names=[string.name for string in CATEGORICAL],
        classes=CLASSES,
    )


def predicted(rows: TrainingSet) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return probabilities(score(rows.numeric, rows.categorical, 0.0), 3)


def test_the_bundle_names_and_scores_the_classes(rows: TrainingSet, tmp_path: Path) -> None:
    scores = checked_scores(graph(0.0, 3), rows, predicted(rows), 1)
    digest = package.write(
        spec_in(tmp_path),
        OF_CLASSES,
        Dataset(NUMERIC, CATEGORICAL, rows, {}),
        model=graph(0.0, 3),
        train=rows,
        train_score=scores,
        holdout=rows,
        score=scores,
        training={},
    )
    bundle = open_bundle(tmp_path / "bundle", digest)
    assert (bundle.manifest.label_kind, bundle.manifest.classes) == ("multiclass", CLASSES)
    edges = json.loads(bundle.read("reference.json"))["score"]["edges"]
    assert scores.max(axis=1).min() < edges[0] < edges[-1] < scores.max(axis=1).max()
    with np.load(io.BytesIO(bundle.read("golden.npz")), allow_pickle=False) as sample:
        assert sample["score"].shape == (32, 3)
    holdout = ParquetHoldouts().read(str(tmp_path / "bundle" / package.HOLDOUT))
    np.testing.assert_array_equal(holdout.score, scores)
    scorer = LocalBundles().open(str(tmp_path / "bundle"), digest)
    assert tuple(scorer.classes) == CLASSES
    assert scorer.golden_difference() < 1e-9
    again = scorer.score(holdout.numeric(scorer.numeric), holdout.categorical(scorer.categorical))
    assert losses(scorer.kind, again, holdout.label) == pytest.approx(losses("multiclass", scores, rows.label))
    assert scorer.score(np.empty((0, len(NUMERIC))), np.empty((0, len(CATEGORICAL)), dtype=object)).shape == (0, 3)


def test_a_graph_with_a_wrong_number_of_classes_is_refused(rows: TrainingSet) -> None:
    with pytest.raises(ModelError, match=r"scores have shape \[40, 2\]; expected \[40, 3\]"):
        run(graph(0.0, 2), rows, 1)


def test_predictions_of_a_different_shape_than_the_exports_are_refused(rows: TrainingSet) -> None:
    with pytest.raises(ModelError, match=r"predictions have shape \[40\], but scores have \[40, 3\]"):
        checked_scores(graph(0.0, 3), rows, predicted(rows)[:, 0], 1)


def test_scores_that_are_not_probabilities_are_refused(rows: TrainingSet) -> None:
    one = replace(rows, classes=("only",))
    with pytest.raises(ModelError, match="must have probabilities of its 1 classes"):
        checked_scores(graph(0.0), one, run(graph(0.0), one, 1), 1)


def test_classes_can_be_written_and_read_with_the_frame(rows: TrainingSet, tmp_path: Path) -> None:
    write_dataset(tmp_path / "frame.arrow", Dataset(NUMERIC, CATEGORICAL, rows, {}))
    stored = read_dataset(tmp_path / "frame.arrow").rows
    assert tuple(stored.classes) == CLASSES
    assert tuple(stored.rows(slice(3)).classes) == CLASSES
