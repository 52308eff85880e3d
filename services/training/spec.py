"""Manifest and result of a run: JSON files in the run's folder.

Controller and run share nothing but this folder, so either can find the run after a restart. A run on another machine
has a folder there; manifest and result are copied through a folder in a bucket (`services.training.run.remote`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from driftloop.process.atomic_file import replace_file
from driftloop.process.errors import ConfigError
from driftloop.process.object_store import Folder, RemoteFolder, folder_of, locate_shared, read_file, write_file
from driftloop.process.redaction import HIDDEN, redact
from driftloop.process.settings import ROOT, Settings
from services.training.domain.matching import ImportPlan

SPEC = "spec.json"
RESULT = "result.json"
RUNS = "training"
"""Folder of the runs' folders, below the home and in a bucket."""
IMPORTS = "imports"
"""Folder of imported models, below the home and in a bucket."""
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
    time_limit_s: float = 0.0
    """Wall time after which the run fails; 0: older versions did not store it."""
    memory_limit_mib: int = 0
    """Memory above which the run fails; 0: older versions did not store it."""


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
    return Path(copy_spec(spec, Path(spec.folder)))


def copy_spec(spec: RunSpec, folder: Folder) -> str:
    """Write the spec into a folder that another machine reads; return the file's path or URL.

    Raises:
        Retriable: the bucket's server did not answer.
    """
    data = asdict(spec)
    for name in _ADDRESSES:
        data[name] = redact(data[name])
    if spec.imported is not None:
        data["imported"][_STORED_PLAN] = data["imported"].pop("plan")
    write_file(folder, SPEC, _json(data))
    return f"{folder}/{SPEC}"


def read_spec(path: Path | str) -> RunSpec:
    """Read what `write_spec` or `copy_spec` wrote.

    Raises:
        ConfigError: the file does not exist, or an address was stored without its password, and this process has no
            such setting.
        Retriable: the bucket's server did not answer.
    """
    content = read_file(*folder_of(str(path)))
    if content is None:
        raise ConfigError(f"{path}: there is no such file")
    data = json.loads(content)
    for name in _ADDRESSES:
        if redact(data[name]) == data[name] and HIDDEN in data[name]:
            data[name] = _from_environment(name, data[name])
    for part in ("events", "views"):
        data[part] = {name: TableVersion(**table) for name, table in data[part].items()}
    imported = data.pop("imported", None)
    return RunSpec(**{**data, "reasons": tuple(data["reasons"])}, imported=_imported(imported) if imported else None)


def remove_stored_passwords(home: Path) -> None:
    """Rewrite specs in which an earlier version stored an address with its password."""
    for path in (home / RUNS).glob(f"*/*/{SPEC}"):
        with suppress(ValueError, TypeError):  # a damaged spec: its run fails
            data = json.loads(path.read_bytes())
            hidden = {name: redact(data[name]) for name in _ADDRESSES if name in data}
            if data != data | hidden:
                replace_file(path, _json(data | hidden))


def on_this_machine(spec: RunSpec, settings: Settings) -> RunSpec:
    """Return a spec of another machine with this machine's folders.

    Raises:
        ObjectError: the imported model is not in the bucket.
        Retriable: the bucket's server did not answer.
    """
    home = settings.home.resolve()
    imported = spec.imported
    if imported is not None:
        # the bucket is that of the spec: its model has the same name below each machine's home
        name = f"{IMPORTS}/{Path(imported.path).name}"
        path = locate_shared(RemoteFolder(spec.store_url), name, settings.object_cache)
        imported = replace(imported, path=str(path.resolve()))
    return replace(
        spec,
        loop_folder=str(settings.loops_dir.resolve() / Path(spec.loop_folder).name),
        home=str(home),
        feature_repo=str(settings.feature_repo.resolve()),
        folder=str(home / RUNS / spec.loop / spec.run_id),
        bundle_folder=str(settings.bundles.resolve() / spec.loop / spec.run_id),
        environment_lock=str(ROOT / "requirements.lock"),
        imported=imported,
    )


def _from_environment(name: str, stored: str) -> str:
    address: str = getattr(Settings(), name)
    if redact(address) != stored:
        raise ConfigError(f"the run uses {stored}, whose password is not stored: set DRIFTLOOP_{name.upper()} to it")
    return address


def _imported(data: dict[str, Any]) -> ImportSpec:
    plan = data.pop(_STORED_PLAN)
    inputs = tuple((name, tuple(columns)) for name, columns in plan["inputs"])
    return ImportSpec(**data, plan=ImportPlan(inputs, plan["output"], tuple(plan["score_columns"]), plan["link"]))


def write_result(folder: Folder, result: Result) -> None:
    """Write a run's result atomically.

    Raises:
        Retriable: the bucket's server did not answer.
    """
    kind = "trained" if isinstance(result, Trained) else "failed"
    if isinstance(result, Failed):
        result = Failed(result.reason, redact(result.detail))
    write_file(folder, RESULT, _json({"kind": kind, **asdict(result)}))


def read_result(folder: Folder) -> Result | None:
    """Return a run's result, if it has one. A run whose result cannot be read has failed.

    Raises:
        Retriable: the bucket's server did not answer.
    """
    content = read_file(folder, RESULT)
    if content is None:
        return None
    try:
        data = json.loads(content)
        return Trained(**data) if data.pop("kind") == "trained" else Failed(**data)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return Failed("error", f"{folder / RESULT} is damaged: {error}")


def _json(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, sort_keys=True, indent=1).encode()
