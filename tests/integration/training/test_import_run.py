"""Tests of an import into the orders loop: checked with its real features, then packed by a real run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from google.protobuf.json_format import ParseDict

from driftloop.contracts import control_pb2 as control
from driftloop.contracts import training_pb2 as training
from driftloop.featurestore import feast_import
from driftloop.loop import load_loop
from driftloop.model.bundle import open_bundle
from driftloop.ops.import_check_client import check_import
from driftloop.process.errors import ConfigError
from driftloop.process.settings import ROOT, Settings
from services.evaluation.adapters.bundles import LocalBundles
from services.evaluation.adapters.holdouts import ParquetHoldouts
from services.training.adapters import sql
from services.training.bootstrap import spec_of
from services.training.config import TrainingSettings
from services.training.run.dataset import FRAME, read_dataset
from services.training.spec import Failed, Result, RunSpec, TableVersion, read_result, read_spec, write_spec
from tests.integration.training.orders_home import LOOPS, Home, make_home
from tests.loops.orders.source import DAY_MS, START_MS, OrderHistory, invent

pytestmark = [pytest.mark.integration, pytest.mark.timeout(420), pytest.mark.surface, pytest.mark.extended]

END_MS = START_MS + 6 * DAY_MS
COLUMNS = ("lines", "orders_shop_shelf:shelf_units")
INPUTS = ("lines", "orders_shop_shelf__shelf_units")


@dataclass(frozen=True)
class ImportHarness:
    """A home, and a model file to import."""

    home: Home
    file: Path

    @property
    def settings(self) -> Settings:
        return self.home.settings.model_copy(update={"mlflow_uri": f"sqlite:///{self.home.settings.home}/mlflow.db"})

    def check(self, *options: str) -> dict[str, Any]:
        return check_import(self.settings, LOOPS / "orders", options)

    def run(self, model: control.ImportedModel, name: str) -> tuple[RunSpec, Result, str]:
        """Pack a model; return the spec, the result, and the import times of the process."""
        settings = TrainingSettings.model_validate(self.settings.model_dump() | {"loops": ("orders",)})
        request = training.RetrainRequested(
            loop="orders", request_id=name, window_start_ms=START_MS, window_end_ms=END_MS, model=model,
            reasons=[training.Reason(kind="import", event_id="e")],
        )  # fmt: skip
        tables = [
            {name: TableVersion(*table) for name, table in part.items()} for part in (self.home.events, self.home.views)
        ]
        run = sql.Run(name, "orders", request, "e", "e", None, pinned=sql.PinnedTables(*tables))
        path = write_spec(spec_of(settings, load_loop(LOOPS / "orders"), run))
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "services.training.run", "--spec", str(path)],
            cwd=ROOT, env={**os.environ, "TZ": "UTC"}, text=True, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        result = read_result(path.parent)
        assert result is not None
        return read_spec(path), result, done.stderr


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImportHarness]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        feast_import.load()
        home = make_home(tmp_path_factory.mktemp("home"), OrderHistory(days=8, orders_a_day=120))
        file = tmp_path_factory.mktemp("file") / "returns.onnx"
        file.write_bytes(trees())
        yield ImportHarness(home, file)


def trees() -> bytes:
    """Return an XGBoost model of returns by number of lines, with an uninformative second column."""
    import xgboost
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    raw = invent(OrderHistory(days=8, orders_a_day=120, seed=4))
    placed = raw["orders.placed"].to_pydict()
    lines = dict(zip(placed["order_ref"], placed["lines"], strict=True))
    column = np.array([lines[ref] for ref in raw["orders.inspected"]["order_ref"].to_pylist()], dtype=np.float32)
    model = xgboost.XGBRegressor(n_estimators=20, max_depth=2, objective="count:poisson", nthread=1)
    model.fit(np.column_stack([column, np.zeros_like(column)]), raw["orders.inspected"]["returned"].to_numpy())
    exported = convert_xgboost(model, initial_types=[("features", FloatTensorType([None, 2]))])
    return bytes(exported.SerializeToString())


def test_a_model_is_checked_stored_and_packed_with_the_loops_rows(harness: ImportHarness) -> None:
    checked = harness.check(f"--onnx={harness.file}", f"--columns={','.join(COLUMNS)}")
    assert checked["notes"] == [f"features takes {', '.join(INPUTS)}", "the score is column 0 of variable"]
    model = ParseDict(checked["model"], control.ImportedModel())
    assert (harness.settings.home / model.uri).is_file()
    spec, packed, imported = harness.run(model, "packed")
    assert not isinstance(packed, Failed), packed
    loaded = set(re.findall(r"\| +(\w+)$", imported, re.MULTILINE))
    assert loaded & {"onnx", "onnxruntime", "torch"} == {"onnx", "onnxruntime"}
    assert packed.training_rows == 0
    assert packed.metrics["loss"] < packed.metrics["base_loss"]
    rows = read_dataset(Path(spec.folder) / FRAME).rows
    assert packed.metrics["rows"] == len(rows.label)
    manifest = open_bundle(Path(packed.bundle_uri), packed.bundle_digest).manifest
    assert len(manifest.numeric) == 11
    assert manifest.training["trainer"] == ""
    assert manifest.training["origin"] == {
        "source": "returns.onnx", "sha256": model.sha256, "inputs": {"features": list(INPUTS)},
        "output": "variable", "score_columns": [0], "link": "identity", "fills": {},
    }  # fmt: skip
    scorer, holdout = (
        LocalBundles().open(packed.bundle_uri, packed.bundle_digest),
        ParquetHoldouts().read(packed.holdout_uri),
    )
    again = scorer.score(holdout.numeric(scorer.numeric), holdout.categorical(scorer.categorical))
    np.testing.assert_allclose(again, holdout.score, atol=1e-9)
    assert len(holdout.label) == len(rows.label)


def test_an_onnx_model_in_mlflow_is_imported_with_the_names_of_its_signature(
    harness: ImportHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    mlflow.set_tracking_uri(harness.settings.mlflow_uri)
    mlflow.create_experiment("returns", str(harness.settings.home / "artifacts"))
    mlflow.set_experiment("returns")
    signature = ModelSignature(Schema([ColSpec("float", name) for name in COLUMNS]))
    with mlflow.start_run():
        mlflow.onnx.log_model(
            onnx.load(str(harness.file)), name="model", registered_model_name="returns", signature=signature
        )
    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # MLflow sets it above, but an import knows only the settings
    direct = harness.check(f"--onnx={harness.file}", f"--columns={','.join(COLUMNS)}")["model"]
    logged = harness.check("--mlflow=models:/returns/1")["model"]
    assert logged["source"] == "models:/returns/1"
    assert {**logged, "source": "", "uri": "", "sha256": ""} == {**direct, "source": "", "uri": "", "sha256": ""}


def test_another_flavor_is_refused_with_its_exporter(harness: ImportHarness, tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text(yaml.safe_dump({"flavors": {"python_function": {}, "sklearn": {}}}))
    with pytest.raises(ConfigError, match=r"MLflow flavor sklearn, not onnx.*skl2onnx\.to_onnx.*--onnx"):
        harness.check(f"--mlflow={tmp_path}")
    with pytest.raises(ConfigError, match="has no readable MLmodel file"):
        harness.check(f"--mlflow={tmp_path.parent}")


def test_columns_that_do_not_match_the_loops_features_are_reported(harness: ImportHarness) -> None:
    with pytest.raises(ConfigError, match=r"list its columns in order with --columns features=.*shelf_units"):
        harness.check(f"--onnx={harness.file}")
    with pytest.raises(ConfigError, match="channel is a string"):
        harness.check(f"--onnx={harness.file}", "--columns=lines,channel")


def test_scores_of_another_kind_fail_the_run_with_one_line(harness: ImportHarness) -> None:
    content = negative()
    file = harness.file.with_name("negative.onnx")
    file.write_bytes(content)
    model = ParseDict(harness.check(f"--onnx={file}")["model"], control.ImportedModel())
    _, failed, _ = harness.run(model, "negative")
    assert isinstance(failed, Failed)
    assert failed.reason == "error"
    assert "an expected count is never below 0; use --link exp" in failed.detail
    assert len(failed.detail.splitlines()) == 1


def negative() -> bytes:
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, ["n", 1]) for name in ("lines", "value")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Neg", ["lines"], ["value"])], "small", value[:1], value[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
