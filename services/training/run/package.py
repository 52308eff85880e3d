"""Writes the files of a run: the bundle, and the holdout beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from driftloop.loop import LoopDefinition
from driftloop.model.bundle import GOLDEN, MANIFEST, MODEL, REFERENCE, Manifest, open_bundle, write_bundle
from driftloop.model.golden import golden_sample
from driftloop.model.scores import Floats, confidence
from driftloop.model.trainer import TrainingSet
from driftloop.process.atomic_file import replacing
from driftloop.process.object_store import RemoteFolder, upload_file, upload_folder
from services.training.domain.reference import reference
from services.training.run.dataset import Dataset
from services.training.spec import RunSpec

HOLDOUT = "holdout.parquet"


def write(
    spec: RunSpec,
    definition: LoopDefinition,
    dataset: Dataset,
    *,
    model: bytes,
    train: TrainingSet,
    train_score: Floats,
    holdout: TrainingSet,
    score: Floats,
    training: Mapping[str, Any],
) -> str:
    """Write bundle and holdout; return the bundle's digest. ``score`` float64 [n] or [n, K] belongs to ``holdout``.

    The same arguments give the same bytes: the bundle depends on neither the machine nor wall time.
    """
    folder = Path(spec.bundle_folder)
    manifest = Manifest(
        loop=spec.loop,
        run_id=spec.run_id,
        label_kind=definition.label.kind,
        feature_service=definition.prediction.feature_service,
        numeric=dataset.numeric,
        categorical=dataset.categorical,
        training=training,
        classes=definition.label.classes,
    )
    files = {
        MODEL: model,
        REFERENCE: reference(
            train.numeric, train.numeric_names, confidence(train_score), train.categorical, train.categorical_names
        ),
        GOLDEN: golden_sample(holdout, score),
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_holdout(folder / HOLDOUT, holdout, score)
    return write_bundle(folder, manifest, files)


def publish(spec: RunSpec, digest: str) -> tuple[str, str]:
    """Make bundle and holdout readable for other services; return their URIs. ``digest``: that of the bundle.

    Raises:
        Retriable: the bucket's server did not answer.
    """
    folder = Path(spec.bundle_folder)
    if not spec.store_url:
        return spec.bundle_folder, str(folder / HOLDOUT)
    shared = RemoteFolder(spec.store_url)
    names = [*open_bundle(folder, digest).manifest.files, MANIFEST]
    bundle_uri = upload_folder(folder, names, shared / "bundles" / spec.loop / spec.run_id / digest)
    return bundle_uri, upload_file(folder / HOLDOUT, shared / "holdouts" / spec.loop, PurePosixPath(HOLDOUT).suffix)


def write_holdout(path: Path, rows: TrainingSet, score: Floats) -> None:
    """Write Parquet with a column per model input, then `label`, `score`, `decision_time_ms` and `key`.

    With K classes a row's `score` is a list of K numbers.
    """
    columns: dict[str, Any] = dict(zip(rows.numeric_names, rows.numeric.T, strict=True))
    columns |= dict(zip(rows.categorical_names, rows.categorical.T, strict=True))
    listed = pa.FixedSizeListArray.from_arrays(score.ravel(), score.shape[1]) if score.ndim > 1 else score
    columns |= {"label": rows.label, "score": listed, "decision_time_ms": rows.decision_time_ms, "key": rows.key}
    with replacing(path) as partial:
        table = pa.table({name: pa.array(column) for name, column in columns.items()})
        pq.write_table(table, partial, write_page_checksum=True)


def training_manifest(
    spec: RunSpec, definition: LoopDefinition, dataset: Dataset, *, rows: int, validation_start_ms: int, code: str
) -> dict[str, Any]:
    """Return everything that determines the weights."""
    sources = sorted({definition.prediction.source, definition.label.source})
    lock = Path(spec.environment_lock) if spec.environment_lock else None
    return {
        "code_sha256": code,
        "environment_sha256": hashlib.sha256(lock.read_bytes()).hexdigest() if lock and lock.exists() else "",
        "frame_sha256": dataset.digest(),
        "lake_versions": {name: spec.events[name].version for name in sources if name in spec.events},
        "view_versions": {name: table.version for name, table in spec.views.items()},
        "parameters": dict(definition.training.parameters),
        "reasons": list(spec.reasons),
        "request_id": spec.request_id,
        "rows": rows,
        "seed": spec.seed,
        "trainer": definition.training.trainer or "",
        "validation_rows": len(dataset.rows.label) - rows,
        "validation_start_ms": validation_start_ms,
        "window_end_ms": spec.window_end_ms,
        "window_start_ms": spec.window_start_ms,
    }


def flat(training: Mapping[str, Any]) -> dict[str, str]:
    """Return a training manifest as short texts, for MLflow's parameters and tags."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in training.items()}
