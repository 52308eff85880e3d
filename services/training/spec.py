"""What a run is told, and what it says at its end: JSON files in the run's folder.

The folder is all that the controller and a run share, so a run is found again after either of them was killed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from driftloop.process.atomic_file import replace_file
from services.training.domain.matching import ImportPlan

SPEC = "spec.json"
RESULT = "result.json"
PID = "pid"
"""File with the process id of the run's leader: launcher and run both write it, as the launcher may be killed first."""

FailureReason = Literal["timeout", "memory", "error", "data"]


@dataclass(frozen=True, slots=True)
class TableAt:
    """A Delta table at a version."""

    path: str
    version: int


@dataclass(frozen=True, slots=True)
class Imported:
    """A model that was trained elsewhere."""

    path: str
    """Of its ONNX file."""
    sha256: str
    """Of the file, hex."""
    source: str
    """The file or MLflow model that the person named."""
    asking: ImportPlan


@dataclass(frozen=True, slots=True)
class RunSpec:
    """A run's manifest. Times are UTC milliseconds since the epoch; the window is open at its end."""

    loop: str
    loop_folder: str
    run_id: str
    request_id: str
    reasons: tuple[str, ...]
    window_start_ms: int
    window_end_ms: int
    seed: int
    events: Mapping[str, TableAt]
    """The lake's tables by event type."""
    views: Mapping[str, TableAt]
    """Offline views by name."""
    home: str
    feature_repo: str
    state_url: str
    """These three as in `driftloop.process.settings.Settings`: they say where Feast is."""
    mlflow_uri: str
    mlflow_artifacts: str
    """Where artifacts go when MLflow is a database and not a server; empty lets the server decide."""
    folder: str
    """The run's own folder."""
    bundle_folder: str
    environment_lock: str
    """File whose sha256 names the environment; empty where there is none."""
    imported: Imported | None = None
    """The model that is packed; None where one is trained."""
    threads: int = 1
    """Of the training framework and ONNX Runtime; one, so that the same manifest gives the same weights."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A run that ended with a bundle."""

    mlflow_run_id: str
    bundle_uri: str
    bundle_digest: str
    holdout_uri: str
    training_rows: int
    duration_s: float
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """A run that ended without one."""

    reason: FailureReason
    detail: str


Result = Trained | Failed


def write_spec(spec: RunSpec) -> Path:
    """Write the spec into the run's folder; returns the file."""
    return _write(Path(spec.folder) / SPEC, asdict(spec))


def read_spec(path: Path) -> RunSpec:
    """Read what `write_spec` wrote.

    Raises:
        OSError: there is no such file.
    """
    data = json.loads(path.read_text())
    for part in ("events", "views"):
        data[part] = {name: TableAt(**each) for name, each in data[part].items()}
    imported = data.pop("imported", None)
    return RunSpec(**{**data, "reasons": tuple(data["reasons"])}, imported=_imported(imported) if imported else None)


def _imported(data: Mapping[str, Any]) -> Imported:
    asking = data["asking"]
    inputs = tuple((name, tuple(columns)) for name, columns in asking["inputs"])
    told = ImportPlan(inputs, asking["output"], tuple(asking["score_columns"]), asking["link"])
    return Imported(**{**data, "asking": told})


def write_result(folder: Path, result: Result) -> None:
    """Write a run's last word, whole or not at all."""
    kind = "trained" if isinstance(result, Trained) else "failed"
    _write(folder / RESULT, {"kind": kind, **asdict(result)})


def read_result(folder: Path) -> Result | None:
    """A run's last word, where it has said it."""
    try:
        data = json.loads((folder / RESULT).read_text())
    except FileNotFoundError:
        return None
    return Trained(**data) if data.pop("kind") == "trained" else Failed(**data)


def _write(path: Path, data: Mapping[str, Any]) -> Path:
    replace_file(path, json.dumps(data, sort_keys=True, indent=1))
    return path
