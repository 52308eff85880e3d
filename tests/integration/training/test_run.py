"""Tests of one run with an in-memory bus and real Delta, Feast, MLflow, ONNX Runtime and processes."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from driftloop.contracts import features_pb2 as features
from driftloop.contracts import ingestion_pb2 as ingestion
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts.topics import declared, message_class, topic
from driftloop.events import ids
from driftloop.events.envelope import Draft, Envelope, from_draft, from_record, to_record
from driftloop.featurestore.lake import LakeTable
from driftloop.loop import load_loops
from driftloop.loop.scaffold import scaffold
from driftloop.model.bundle import Bundle, open_bundle
from driftloop.process.clock import SystemClock
from driftloop.process.settings import ROOT
from driftloop.runner.service import topics_of
from services.evaluation.adapters.bundles import LocalBundles
from services.evaluation.adapters.holdouts import ParquetHoldouts
from services.training.adapters.subprocess_launcher import SubprocessLauncher
from services.training.bootstrap import NAME, assemble
from services.training.config import TrainingSettings
from services.training.handlers import table
from services.training.launchers import run_environment
from services.training.run.dataset import DATA_PROBLEM, FRAME, PROBLEM, Dataset, read_dataset
from services.training.spec import SPEC, TableVersion, Trained, read_result, read_spec, write_spec
from tests.helpers.editing import replace_once
from tests.helpers.memory_broker import MemoryBroker
from tests.integration.training.orders_home import LOOPS, Home, make_home
from tests.loops.orders.source import DAY_MS, HOUR_MS, START_MS, OrderHistory, invent

pytestmark = [pytest.mark.integration, pytest.mark.timeout(420)]

ORDER_HISTORY = OrderHistory(days=14, orders_a_day=200)
WINDOWS = 20
END_MS = START_MS + 10 * DAY_MS
RUN_POLLS = 3000


@dataclass(frozen=True)
class Finished:
    """The service's events, and the run's folder."""

    home: Home
    started: Envelope[Any]
    candidate: Envelope[Any]
    folder: Path

    @property
    def bundle(self) -> Bundle:
        bundle = self.candidate.data.bundle
        return open_bundle(Path(bundle.uri), bundle.digest)

    @property
    def dataset(self) -> Dataset:
        return read_dataset(self.folder / FRAME)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        home = make_home(tmp_path_factory.mktemp("home"), ORDER_HISTORY)
        started, candidate = asyncio.run(first_champion(home))
        folder = home.settings.home / "training" / "orders" / candidate.data.run_id
        yield Finished(home, started, candidate, folder)


async def first_champion(home: Home) -> tuple[Envelope[Any], Envelope[Any]]:
    """Close windows and flush stores until the service has trained a candidate."""
    settings = TrainingSettings(
        home=home.settings.home,
        loops_dir=LOOPS,
        loops=("orders",),
        feature_repo=home.settings.feature_repo,
        mlflow_uri=f"sqlite:///{home.settings.home}/mlflow.db",
    )
    broker, stop = MemoryBroker(), threading.Event()
    for name in declared():
        broker.create_topic(name)
    loops = {loop.name: loop for loop in load_loops(settings.loops_dir, settings.loops)}
    handlers = table({name: loop.definition.training for name, loop in loops.items()})
    service = assemble(
        settings,
        stop,
        loops=loops,
        handlers=handlers,
        consumer=broker.lifecycle_consumer(topics_of(handlers), NAME),
        producer=broker.lifecycle_producer(),
        launcher=SubprocessLauncher(run_environment(settings)),
        clock=SystemClock(),
    )
    running = asyncio.create_task(service.run())
    try:
        broker.append([to_record(event) for event in _events(home)])
        started = await _wait_for(broker, "training.run-started.v1")
        return started, await _wait_for(broker, "training.candidate-trained.v1")
    finally:
        stop.set()
        await asyncio.wait_for(running, 20)


def _events(home: Home) -> Iterator[Envelope[Any]]:
    for number in range(1, WINDOWS + 1):
        end_ms = START_MS + number * 12 * HOUR_MS
        start_ms = end_ms - 12 * HOUR_MS
        yield _event(monitoring.WindowClosed(loop="orders", window_id=f"w{number}", start_ms=start_ms, end_ms=end_ms))
    lake = [ingestion.TableVersion(name=name, path=path, version=at) for name, (path, at) in home.events.items()]
    yield _event(ingestion.LakeFlushed(loop="orders", watermark_ms=END_MS, tables=lake))
    views = [features.ViewVersion(view=name, path=path, version=at) for name, (path, at) in home.views.items()]
    yield _event(features.OfflineFlushed(loop="orders", watermark_ms=END_MS, views=views))


def _event(message: Any) -> Envelope[Any]:
    identity = ids.event_id(message.DESCRIPTOR.name, message.SerializeToString(deterministic=True).hex())
    draft = Draft(identity, "orders", getattr(message, "end_ms", END_MS), message)
    return from_draft(draft, source="test", wall_time_ms=0, cause=None, traceparent=None)


async def _wait_for(broker: MemoryBroker, name: str) -> Envelope[Any]:
    consumer = broker.lifecycle_consumer([name], "test")
    failures = broker.lifecycle_consumer(["training.run-failed.v1"], "test")
    for _ in range(RUN_POLLS):
        for record in await consumer.poll(1, 0.1):
            return from_record(record, [message_class(message) for message in topic(name).messages])
        assert [record.value for record in await failures.poll(1, 0.0)] == []
    raise AssertionError(f"nothing came on {name}")


def test_the_candidate_beats_the_base_rate_and_records_its_data(finished: Finished) -> None:
    candidate = finished.candidate.data
    assert candidate.metrics["loss"] < candidate.metrics["base_loss"]
    assert abs(candidate.metrics["calibration"]) < 0.05
    assert finished.candidate.causation_id == finished.started.id
    assert dict(finished.started.data.lake_versions) == {name: at for name, (_, at) in finished.home.events.items()}
    assert finished.bundle.manifest.run_id == candidate.run_id
    assert finished.bundle.manifest.training["window_end_ms"] == END_MS
    assert finished.bundle.manifest.training["rows"] == candidate.training_rows


def test_inputs_are_features_then_request_inputs(finished: Finished) -> None:
    manifest = finished.bundle.manifest
    assert [number.name for number in manifest.numeric] == [
        "orders_shop_returns__count_items_back_86400s",
        "orders_shop_returns__sum_items_back_86400s",
        "orders_shop_returns__count_items_back_604800s",
        "orders_shop_returns__sum_items_back_604800s",
        "orders_market_returns__count_items_back_259200s",
        "orders_market_returns__sum_items_back_259200s",
        "orders_shop_lines__count_lines_86400s",
        "orders_shop_lines__sum_lines_86400s",
        "orders_shop_shelf__shelf_units",
        "lines",
        "basket_cents",
    ]
    assert [string.name for string in manifest.categorical] == ["channel"]
    assert {number.source for number in manifest.numeric[:9]} == {"feature"}


def test_labels_are_those_known_at_the_windows_end(finished: Finished) -> None:
    rows, raw = finished.dataset.rows, invent(ORDER_HISTORY)
    placed = {row["order_ref"]: row["promised_ms"] for row in raw["orders.placed"].to_pylist()}
    known = {
        row["order_ref"]: row["returned"]
        for row in raw["orders.inspected"].to_pylist()
        if row["at_ms"] < END_MS and row["at_ms"] <= placed[row["order_ref"]] + 60 * HOUR_MS
    }
    expected = {ref: known[ref] for ref, at in placed.items() if ref in known and START_MS <= at < END_MS}
    assert dict(zip(rows.key, rows.label, strict=True)) == expected
    assert finished.dataset.counts["population"] == sum(START_MS <= at < END_MS for at in placed.values())


def test_features_are_those_available_at_each_decision(finished: Finished) -> None:
    rows, raw = finished.dataset.rows, invent(ORDER_HISTORY)
    shops = {row["order_ref"]: row["shop"] for row in raw["orders.placed"].to_pylist()}
    returned = raw["orders.inspected"]
    column = list(rows.numeric_names).index("orders_shop_returns__sum_items_back_604800s")
    for row in np.random.default_rng(0).choice(len(rows.key), 100, replace=False):
        hour = rows.decision_time_ms[row] // HOUR_MS * HOUR_MS
        inside = pc.and_(pc.greater_equal(returned["at_ms"], hour - 7 * DAY_MS), pc.less(returned["at_ms"], hour))
        of_shop = returned.filter(pc.and_(inside, pc.equal(returned["shop"], shops[rows.key[row]])))
        assert rows.numeric[row, column] == (pc.sum(of_shop["returned"]).as_py() or 0.0)


def test_the_holdout_is_the_last_part_of_the_window_with_scores(finished: Finished) -> None:
    holdout = pq.read_table(finished.candidate.data.holdout_uri)
    assert pc.min(holdout["decision_time_ms"]).as_py() >= END_MS - 2 * DAY_MS
    assert holdout.num_rows == finished.bundle.manifest.training["validation_rows"]
    assert pc.mean(holdout["score"]).as_py() == pytest.approx(finished.candidate.data.metrics["score_mean"])


def test_the_run_is_logged_to_mlflow(finished: Finished) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{finished.home.settings.home}/mlflow.db")
    run = client.get_run(finished.candidate.data.mlflow_run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"ridge": "1.0", "steps": "25"}
    assert run.data.metrics["loss"] == pytest.approx(finished.candidate.data.metrics["loss"])
    assert run.data.tags["driftloop.run_id"] == finished.candidate.data.run_id
    assert run.data.tags["bundle_sha256"] == finished.candidate.data.bundle.digest
    assert run.data.tags["seed"] == "7"
    assert json.loads(run.data.tags["lake_versions"])["orders.placed"] == finished.home.events["orders.placed"][1]
    names = {Path(file.path).name for file in client.list_artifacts(run.info.run_id, "bundle")}
    assert names >= {"manifest.json", "model.onnx", "reference.json", "golden.npz"}


def test_the_same_run_gives_the_same_bundle_after_the_lake_has_grown(finished: Finished) -> None:
    spec = read_spec(finished.folder / SPEC)
    for path, at in (*finished.home.events.values(), *finished.home.views.values()):
        LakeTable(Path(path)).append(LakeTable(Path(path)).read(at).slice(0, 50), {})
    write_spec(replace(spec, folder=str(finished.folder / "again")))
    _run("services.training.run", finished.folder / "again" / SPEC)
    again = read_result(finished.folder / "again")
    assert isinstance(again, Trained)
    assert again.bundle_digest == finished.candidate.data.bundle.digest
    assert _logged_runs(finished) == [again.mlflow_run_id]


def test_a_loop_with_classes_is_trained_packed_and_read(finished: Finished, tmp_path: Path) -> None:
    spec = read_spec(finished.folder / SPEC)
    inspected = LakeTable(tmp_path / "inspected")
    version = inspected.append(_with_classes(LakeTable(Path(spec.events["orders.inspected"].path)).read()), {})
    changed = replace(
        spec,
        loop_folder=str(_loop_of_classes(tmp_path)),
        run_id="classes",
        events={**spec.events, "orders.inspected": TableVersion(str(tmp_path / "inspected"), version)},
        mlflow_uri=f"sqlite:///{tmp_path}/mlflow.db",
        mlflow_artifacts=str(tmp_path / "artifacts"),
        folder=str(tmp_path / "run"),
        bundle_folder=str(tmp_path / "bundle"),
    )
    _run("services.training.run", write_spec(changed))
    trained = read_result(tmp_path / "run")
    assert isinstance(trained, Trained)
    assert trained.metrics["loss"] < trained.metrics["base_loss"]
    assert trained.metrics["accuracy"] >= trained.metrics["base_rate"] - 0.05
    assert abs(trained.metrics["calibration"]) < 0.1
    scorer = LocalBundles().open(trained.bundle_uri, trained.bundle_digest)
    assert (tuple(scorer.classes), scorer.kind) == (CLASSES, "multiclass")
    assert scorer.golden_difference() < 1e-6
    holdout = ParquetHoldouts().read(trained.holdout_uri)
    assert set(holdout.label) <= {0.0, 1.0, 2.0}
    assert holdout.score.shape == (len(holdout.label), 3)
    again = scorer.score(holdout.numeric(scorer.numeric), holdout.categorical(scorer.categorical))
    np.testing.assert_allclose(again, holdout.score, atol=1e-9)


CLASSES = ("none", "few", "many")


def _with_classes(rows: pa.Table) -> pa.Table:
    """Add the column that the changed loop derives."""
    returned = rows["returned"]
    name = pc.if_else(pc.equal(returned, 0), "none", pc.if_else(pc.less(returned, 3), "few", "many"))
    return rows.append_column("how_many", name)


def _loop_of_classes(folder: Path) -> Path:
    """Return the orders loop with a class label, and the model that `driftloop init` generates for one."""
    loop = folder / "loops" / "orders"
    shutil.copytree(LOOPS / "orders", loop)
    scaffold("orders", "multiclass", "request", folder / "scaffold", folder / "scaffold_features")
    shutil.copy(folder / "scaffold" / "orders" / "model.py", loop / "model.py")
    derived = "CASE WHEN returned = 0 THEN 'none' WHEN returned < 3 THEN 'few' ELSE 'many' END"
    for old, new in (
        ("value: returned", "value: how_many"),
        ("kind: count", f"kind: multiclass\n  classes: [{', '.join(CLASSES)}]"),
        ("{ridge: 1.0, steps: 25}", "{hidden: 8, epochs: 10, learning_rate: 0.01, batch_rows: 128}"),
        ("derive:\n", f'derive:\n      how_many: "{derived}"\n'),
    ):
        replace_once(loop / "loop.yaml", old, new)
    return loop


def test_a_window_without_data_is_reported(finished: Finished, tmp_path: Path) -> None:
    spec = read_spec(finished.folder / SPEC)
    early = replace(spec, window_start_ms=0, window_end_ms=START_MS, folder=str(tmp_path))
    assert _run("services.training.run.frame", write_spec(early), check=False) == DATA_PROBLEM
    assert "no row of the window has a known outcome" in (tmp_path / PROBLEM).read_text()


def _run(module: str, spec: Path, *, check: bool = True) -> int:
    return subprocess.run([sys.executable, "-m", module, "--spec", str(spec)], cwd=ROOT, check=check).returncode


def _logged_runs(finished: Finished) -> list[str]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{finished.home.settings.home}/mlflow.db")
    experiment = client.get_experiment_by_name("orders")
    assert experiment is not None
    return [run.info.run_id for run in client.search_runs([experiment.experiment_id])]
