from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from driftloop.loop import load_loop
from driftloop.model.bundle import Input, open_bundle
from driftloop.model.golden import golden_sample
from driftloop.model.trainer import TrainingSet
from driftloop.process.errors import LoopDefinitionError
from services.training.domain.matching import ImportPlan
from services.training.errors import DataError, ModelError
from services.training.run import package
from services.training.run.dataset import Dataset, read_dataset, write_dataset
from services.training.run.export_check import checked_scores
from services.training.run.pipeline import split
from services.training.run.trainers import code_digest, load_trainer
from services.training.spec import SPEC, ImportSpec, Trained, read_result, read_spec, write_result, write_spec
from tests.unit.training.fakes import spec_in

ORDERS = load_loop(Path(__file__).resolve().parents[2] / "loops" / "orders")
PARAMETERS = ORDERS.definition.training.parameters


def generated(rows: int = 80, seed: int = 0) -> Dataset:
    random = np.random.default_rng(seed)
    numeric = random.gamma(2.0, 3.0, (rows, 2))
    numeric[::7, 0] = np.nan
    texts = random.choice(np.array(["web", "phone", ""], dtype=object), (rows, 1))
    label = random.poisson(np.nan_to_num(numeric[:, 1]) / 4 * (texts[:, 0] == "web") + 0.2).astype(float)
    data = TrainingSet(
        numeric=numeric,
        categorical=texts,
        label=label,
        decision_time_ms=np.arange(rows, dtype=np.int64) * 1000,
        key=np.array([f"k{index}" for index in range(rows)], dtype=object),
        numeric_names=["view__sum", "lines"],
        categorical_names=["channel"],
    )
    inputs = (Input("view__sum", "feature", "double", "view", "sum"), Input("lines", "request", "double"))
    return Dataset(inputs, (Input("channel", "request", "string"),), data, {"labelled": rows})


def packed(folder: Path) -> tuple[str, Any]:
    """Return the digest of a bundle of generated rows, and their validation rows."""
    dataset = generated()
    parts = split(dataset.rows, 60_000)
    fitted = load_trainer(ORDERS).fit(parts.train, parts.validation, parameters=PARAMETERS, seed=7)
    model = fitted.to_onnx()
    spec = spec_in(folder)
    score = checked_scores(model, parts.validation, fitted.predict(parts.validation), 1)
    manifest = package.training_manifest(
        spec, ORDERS.definition, dataset, rows=60, validation_start_ms=60_000, code=code_digest(ORDERS.folder)
    )
    digest = package.write(
        spec,
        ORDERS.definition,
        dataset,
        model=model,
        train=parts.train,
        train_score=fitted.predict(parts.train),
        holdout=parts.validation,
        score=score,
        training=manifest,
    )
    return digest, parts.validation


def test_the_same_manifest_and_rows_give_the_same_bundle(tmp_path: Path) -> None:
    first, _ = packed(tmp_path / "a")
    second, _ = packed(tmp_path / "b")
    assert first == second
    bundle = open_bundle(tmp_path / "a" / "bundle", first)
    assert set(bundle.manifest.files) == {"model.onnx", "reference.json", "golden.npz"}
    assert bundle.manifest.training["lake_versions"] == {"orders.placed": 3}
    assert (bundle.manifest.training["rows"], bundle.manifest.training["validation_rows"]) == (60, 20)
    assert bundle.manifest.training["frame_sha256"] == generated().digest()


def test_the_golden_sample_needs_no_pickle_and_is_reproduced(tmp_path: Path) -> None:
    digest, _ = packed(tmp_path)
    bundle = open_bundle(tmp_path / "bundle", digest)
    with np.load(io.BytesIO(bundle.read("golden.npz")), allow_pickle=False) as sample:
        rows = replace(
            generated().rows.rows(slice(0, len(sample["score"]))),
            numeric=sample["numeric"],
            categorical=sample["categorical"].astype(object),
        )
        checked_scores(bundle.read("model.onnx"), rows, sample["score"], 1)


def test_the_holdout_has_inputs_label_score_time_and_key(tmp_path: Path) -> None:
    _, validation = packed(tmp_path)
    table = pq.read_table(tmp_path / "bundle" / package.HOLDOUT)
    assert table.column_names == ["view__sum", "lines", "channel", "label", "score", "decision_time_ms", "key"]
    assert table["key"].to_pylist() == list(validation.key)
    np.testing.assert_array_equal(table["view__sum"].to_numpy(), validation.numeric[:, 0])


def test_a_golden_sample_without_strings_has_no_string_array() -> None:
    rows = replace(generated().rows, categorical=np.empty((80, 0), dtype=object), categorical_names=[])
    with np.load(io.BytesIO(golden_sample(rows, rows.label)), allow_pickle=False) as sample:
        assert set(sample) == {"numeric", "score"}
        assert len(sample["score"]) == 32


def test_an_export_with_different_scores_is_refused() -> None:
    rows = generated().rows
    fitted = load_trainer(ORDERS).fit(rows, rows, parameters=PARAMETERS, seed=0)
    different = fitted.predict(rows) + 1e-4
    with pytest.raises(ModelError, match=r"differs from the trained model by 0\.0001"):
        checked_scores(fitted.to_onnx(), rows, different, 1)


def test_the_export_scores_unknown_texts_and_missing_numbers_like_the_trainer() -> None:
    rows = generated().rows
    fitted = load_trainer(ORDERS).fit(rows, rows, parameters=PARAMETERS, seed=0)
    unusual = replace(
        rows, numeric=np.full_like(rows.numeric, np.nan), categorical=np.full_like(rows.categorical, "pigeon")
    )
    checked_scores(fitted.to_onnx(), unusual, fitted.predict(unusual), 1)


def test_a_window_with_rows_on_one_side_only_is_refused() -> None:
    with pytest.raises(DataError, match="80 rows to train and 0 to validate"):
        split(generated().rows, 80_000)


def test_a_dataset_can_be_written_and_read(tmp_path: Path) -> None:
    dataset = generated()
    write_dataset(tmp_path / "frame.arrow", dataset)
    stored = read_dataset(tmp_path / "frame.arrow")
    assert stored.digest() == dataset.digest()
    assert (stored.numeric, stored.categorical, stored.counts) == (dataset.numeric, dataset.categorical, dataset.counts)
    np.testing.assert_array_equal(stored.rows.numeric, dataset.rows.numeric)


def test_the_digest_changes_with_the_rows() -> None:
    rows = generated().rows
    digests = {
        Dataset((), (), changed, {}).digest()
        for changed in (
            rows,
            replace(rows, label=rows.label + 1),
            replace(rows, numeric=rows.numeric[:, ::-1]),
            replace(rows, key=rows.key[::-1]),
            replace(rows, numeric_names=["lines", "view__sum"]),
        )
    }
    assert len(digests) == 5


def test_a_missing_trainer_is_an_error_of_the_loop() -> None:
    for name, message in (
        ("nothing:Trainer", ".*nothing.py does not exist"),
        ("model:Nobody", ".*has no class 'Nobody'"),
    ):
        training = ORDERS.definition.training.model_copy(update={"trainer": name})
        definition = ORDERS.definition.model_copy(update={"training": training})
        with pytest.raises(LoopDefinitionError, match=rf"loop\.yaml:\d+: trainer: {message}"):
            load_trainer(replace(ORDERS, definition=definition))


def test_spec_and_result_can_be_written_and_read(tmp_path: Path) -> None:
    spec = spec_in(tmp_path)
    assert read_spec(write_spec(spec)) == spec
    plan = ImportPlan((("features", ("lines",)),), "value", (0,), "exp")
    importing = replace(spec, imported=ImportSpec("/model.onnx", "d1gest", "model.onnx", plan))
    assert read_spec(write_spec(importing)) == importing
    assert "asking" in json.loads((tmp_path / "run" / SPEC).read_text())["imported"]  # as in earlier versions
    result = Trained("m", "/b", "d", "/h", 10, 1.5, {"loss": 0.25})
    assert read_result(tmp_path) is None
    write_result(tmp_path, result)
    assert read_result(tmp_path) == result
