"""The steps of a run, in order."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from driftloop.loop import Loop, load_loop, to_ms
from driftloop.model.losses import losses
from driftloop.model.trainer import Fitted, TrainingSet
from driftloop.process import log
from driftloop.process.settings import ROOT
from services.training import mlflow_import
from services.training.domain import quality
from services.training.errors import DataError
from services.training.run import package, tracking
from services.training.run.dataset import DATA_PROBLEM, FRAME, PROBLEM, Dataset, read_dataset
from services.training.run.export_check import check_range, checked_scores, run
from services.training.run.trainers import code_digest, load_trainer
from services.training.spec import RunSpec, Trained


def execute(spec: RunSpec, spec_path: Path) -> Trained:
    """Train or import a model; check, pack and log it.

    Raises:
        DataError: the window has too little data.
        ModelError: the model's scores are not finite, or its export differs.
        RuntimeError: the frame's process died.
    """
    steps = _Steps(spec.run_id)
    loop = load_loop(Path(spec.loop_folder))
    with _frame_process(spec_path) as frame:
        with steps.of("imports"):
            fit = _import_model if spec.imported else _trainer_fit(loop)
            mlflow_import.load()
        with steps.of("frame"):
            dataset = _wait_for_frame(frame, Path(spec.folder))
    parts = _parts(spec, loop, dataset)
    with steps.of("fit"):
        fitted, origin = fit(spec, loop, dataset, parts)
    with steps.of("pack"):
        packed = _pack(spec, loop, dataset, parts, fitted, origin)
    with steps.of("log"):
        mlflow_run_id = tracking.log_run(spec, _logged(packed, dataset, steps.seconds), Path(spec.bundle_folder))
    bundle_uri, holdout_uri = package.publish(spec, packed.digest)
    return Trained(
        mlflow_run_id=mlflow_run_id,
        bundle_uri=bundle_uri,
        bundle_digest=packed.digest,
        holdout_uri=holdout_uri,
        training_rows=0 if spec.imported else len(parts.train.label),
        duration_s=sum(steps.seconds.values()),
        metrics=packed.metrics,
    )


@dataclass(frozen=True, slots=True)
class Split:
    """A window's rows, split by decision time."""

    train: TrainingSet
    validation: TrainingSet
    validation_start_ms: int


def split(rows: TrainingSet, validation_start_ms: int) -> Split:
    """Split into rows decided before ``validation_start_ms``, to train on, and the rest, to validate.

    Raises:
        DataError: one of the two is empty.
    """
    late = rows.decision_time_ms >= validation_start_ms
    if late.all() or not late.any():
        raise DataError(f"{int((~late).sum())} rows to train and {int(late.sum())} to validate: both must be above 0")
    return Split(rows.rows(~late), rows.rows(late), validation_start_ms)


Fit = Callable[[RunSpec, Loop, Dataset, Split], tuple[Fitted, Mapping[str, object]]]
"""Returns the model, and the origin of an imported one."""


def _parts(spec: RunSpec, loop: Loop, dataset: Dataset) -> Split:
    """Return the split. All rows validate an imported model, because it was fitted to none of them."""
    if spec.imported:
        return Split(dataset.rows, dataset.rows, spec.window_start_ms)
    return split(dataset.rows, spec.window_end_ms - to_ms(loop.definition.training.validation))


def _trainer_fit(loop: Loop) -> Fit:
    """Load the trainer, while the other process joins the frame."""
    trainer = load_trainer(loop)

    def fit(spec: RunSpec, loop: Loop, _dataset: Dataset, parts: Split) -> tuple[Fitted, Mapping[str, object]]:
        parameters = loop.definition.training.parameters
        return trainer.fit(parts.train, parts.validation, parameters=parameters, seed=spec.seed), {}

    return fit


def _import_model(spec: RunSpec, loop: Loop, dataset: Dataset, parts: Split) -> tuple[Fitted, Mapping[str, object]]:
    from services.training.importing.imported_model import load_imported_model

    if spec.imported is None:
        raise AssertionError("no model was imported")
    inputs = (dataset.numeric, dataset.categorical)
    model = load_imported_model(spec.imported, parts.validation, inputs, loop.definition.label.kind, spec.threads)
    return model, model.manifest()


@dataclass(frozen=True, slots=True)
class _Packed:
    digest: str
    training: Mapping[str, object]
    metrics: Mapping[str, float]


def _pack(
    spec: RunSpec, loop: Loop, dataset: Dataset, parts: Split, fitted: Fitted, origin: Mapping[str, object]
) -> _Packed:
    kind = loop.definition.label.kind
    predicted = fitted.predict(parts.validation)
    check_range(predicted, kind)
    model = fitted.to_onnx()
    score = checked_scores(model, parts.validation, predicted, spec.threads)
    train_score = run(model, parts.train, spec.threads)
    training = package.training_manifest(
        spec,
        loop.definition,
        dataset,
        rows=0 if spec.imported else len(parts.train.label),
        validation_start_ms=parts.validation_start_ms,
        code=code_digest(loop.folder),
    )
    if origin:
        training |= {"trainer": "", "parameters": {}, "origin": origin}
    digest = package.write(
        spec,
        loop.definition,
        dataset,
        model=model,
        train=parts.train,
        train_score=train_score,
        holdout=parts.validation,
        score=score,
        training=training,
    )
    metrics = quality.metrics(kind, score, parts.validation.label, parts.train.label)
    metrics["rows"] = float(len(score))
    if not spec.imported:
        metrics["train_loss"] = float(losses(kind, train_score, parts.train.label).mean())
    return _Packed(digest, training, metrics)


def _logged(packed: _Packed, dataset: Dataset, seconds: Mapping[str, float]) -> tracking.Logged:
    counts = {f"rows_{name}": float(count) for name, count in dataset.counts.items()}
    spent = {f"seconds_{name}": value for name, value in seconds.items()}
    parameters = packed.training["parameters"]
    return tracking.Logged(
        parameters=package.flat(parameters if isinstance(parameters, Mapping) else {}),
        metrics={**packed.metrics, **counts, **spent},
        tags={**package.flat(packed.training), "bundle_sha256": packed.digest},
    )


@contextmanager
def _frame_process(spec_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start the process that joins the frame, in this run's process group, and kill it at the end of the block."""
    command = [sys.executable, "-m", "services.training.run.frame", "--spec", str(spec_path)]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _wait_for_frame(process: subprocess.Popen[bytes], folder: Path) -> Dataset:
    code = process.wait()  # the run's time limit bounds this wait
    if code == DATA_PROBLEM:
        raise DataError((folder / PROBLEM).read_text())
    if code != 0:
        raise RuntimeError(f"the process that joins the frame ended with exit code {code}")
    return read_dataset(folder / FRAME)


@dataclass
class _Steps:
    """Measures and logs the wall time of each step, in seconds."""

    run_id: str
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 3)
        log.get(__name__).info("step", run_id=self.run_id, step=name, seconds=self.seconds[name])
