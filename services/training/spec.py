"""Manifest and result of a run: JSON files in the run's folder.

Controller and run share nothing but this folder, so either can find the run after a restart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from driftloop.process.atomic_file import replace_file
from driftloop.process.errors import ConfigError
from driftloop.process.redaction import HIDDEN, redact
from driftloop.process.settings import Settings
from services.training.domain.matching import ImportPlan

SPEC = "spec.json"
RESULT = "result.json"
_PID = "pid"

_STORED_PLAN = "asking"
"""Key of ``plan`` in stored specs, kept so that versions can read each other's specs."""

_ADDRESSES = ("state_url", "mlflow_uri")
"""Fields of a spec that may have a password."""

FailureReason = Literal["timeout", "memory", "error", "data"]


@dataclass(frozen=True, slots=True)
class TableVersion:
    """A Delta table at a version."""

    path: str
    version: int


@dataclass(frozen=True, slots=True)
class ImportSpec:
    """A model trained elsewhere."""

    path: str
    """Path of its ONNX file."""
    sha256: str
    """Digest of the file, hex."""
    source: str
    """The file or MLflow model that the user named."""
    plan: ImportPlan


@dataclass(frozen=True, slots=True)
class RunSpec:
    """A run's manifest. Times are UTC milliseconds since the epoch; the window excludes its end."""

    loop: str
    loop_folder: str
    run_id: str
    request_id: str
    reasons: tuple[str, ...]
    window_start_ms: int
    window_end_ms: int
    seed: int
    events: Mapping[str, TableVersion]
    """The lake's tables by event type."""
    views: Mapping[str, TableVersion]
    """Offline views by name."""
    home: str
    feature_repo: str
    state_url: str
    """These three locate Feast, as in `driftloop.process.settings.Settings`."""
    mlflow_uri: str
    """Neither address is stored with a password: a run takes one that has a password from its environment."""
    mlflow_artifacts: str
    """Artifact location if MLflow is a database; empty if a server decides."""
    folder: str
    """The run's own folder."""
    bundle_folder: str
    """Folder on this machine for the bundle and the holdout."""
    environment_lock: str
    """File whose sha256 identifies the environment; empty if there is none."""
    imported: ImportSpec | None = None
    """The model to pack; None if one is to be trained."""
    store_url: str = ""
    """Folder in a bucket that gets bundle and holdout too; empty: other services read them in `bundle_folder`."""
    threads: int = 1
    """Threads of the training framework and ONNX Runtime. With one thread, the same manifest gives the same weights."""


@dataclass(frozen=True, slots=True)
class Trained:
    """The result of a run with a bundle."""

    mlflow_run_id: str
    bundle_uri: str
    bundle_digest: str
    holdout_uri: str
    training_rows: int
    duration_s: float
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """The result of a run without a bundle."""

    reason: FailureReason
    detail: str


Result = Trained | Failed


def write_pid(folder: Path, pid: int) -> None:
    """Store the id of a run's first process. Launcher and run both do so: the launcher may be killed first."""
    (folder / _PID).write_text(f"{pid} {_pid_space()}")


def read_pid(folder: Path) -> int | None:
    """Return the process id of a folder's run, or None if there is none or it is one of another machine or boot."""
    try:
        pid, *space = (folder / _PID).read_text().split()  # older versions stored the number alone
        return int(pid) if not space or space == [_pid_space()] else None
    except (FileNotFoundError, ValueError):
        return None


def clear_pid(folder: Path) -> None:
    """Forget the process id of a folder's run."""
    (folder / _PID).unlink(missing_ok=True)


def _pid_space() -> str:
    """Return a name for where process ids are valid: this boot of this machine, and this container."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"


def write_spec(spec: RunSpec) -> Path:
    """Write the spec into the run's folder; return the file."""
    data = asdict(spec)
    for name in _ADDRESSES:
        data[name] = redact(data[name])
    if spec.imported is not None:
        data["imported"][_STORED_PLAN] = data["imported"].pop("plan")
    return _write(Path(spec.folder) / SPEC, data)


def read_spec(path: Path) -> RunSpec:
    """Read what `write_spec` wrote.

    Raises:
        OSError: the file does not exist.
        ConfigError: an address was stored without its password, and this process has no such setting.
    """
    data = json.loads(path.read_text())
    for name in _ADDRESSES:
        if redact(data[name]) == data[name] and HIDDEN in data[name]:
            data[name] = _from_environment(name, data[name])
    for part in ("events", "views"):
        data[part] = {name: TableVersion(**table) for name, table in data[part].items()}
    imported = data.pop("imported", None)
    return RunSpec(**{**data, "reasons": tuple(data["reasons"])}, imported=_imported(imported) if imported else None)


def remove_stored_passwords(home: Path) -> None:
    """Rewrite specs in which an earlier version stored an address with its password."""
    for path in (home / "training").glob(f"*/*/{SPEC}"):
        with suppress(ValueError, TypeError):  # a damaged spec: its run fails
            data = json.loads(path.read_bytes())
            hidden = {name: redact(data[name]) for name in _ADDRESSES if name in data}
            if data != data | hidden:
                _write(path, data | hidden)


def _from_environment(name: str, stored: str) -> str:
    address: str = getattr(Settings(), name)
    if redact(address) != stored:
        raise ConfigError(f"the run uses {stored}, whose password is not stored: set DRIFTLOOP_{name.upper()} to it")
    return address


def _imported(data: dict[str, Any]) -> ImportSpec:
    plan = data.pop(_STORED_PLAN)
    inputs = tuple((name, tuple(columns)) for name, columns in plan["inputs"])
    return ImportSpec(**data, plan=ImportPlan(inputs, plan["output"], tuple(plan["score_columns"]), plan["link"]))


def write_result(folder: Path, result: Result) -> None:
    """Write a run's result atomically."""
    kind = "trained" if isinstance(result, Trained) else "failed"
    if isinstance(result, Failed):
        result = Failed(result.reason, redact(result.detail))
    _write(folder / RESULT, {"kind": kind, **asdict(result)})


def read_result(folder: Path) -> Result | None:
    """Return a run's result, if it has one. A run whose result cannot be read has failed."""
    try:
        data = json.loads((folder / RESULT).read_bytes())
        return Trained(**data) if data.pop("kind") == "trained" else Failed(**data)
    except FileNotFoundError:
        return None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return Failed("error", f"{folder / RESULT} is damaged: {error}")


def _write(path: Path, data: Mapping[str, Any]) -> Path:
    replace_file(path, json.dumps(data, sort_keys=True, indent=1))
    return path
