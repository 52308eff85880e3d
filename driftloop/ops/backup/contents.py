"""Which files of a home a backup contains.

It leaves out what belongs to running processes (`run/`, locks, shared memory of SQLite), what is rebuilt from the rest
(Kafka's indexes, which are allocated at full size while it runs; Faust's folder) and what describes the machine
(`logs/`, `traces/`, `prometheus/`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

PATHS = (
    "state", "online", "feast", "mlflow", "spool", "triton/releases", "triton/routes", "training", "kafka/data",
    "demo.json", "former-homes.json", "lake", "bundles", "imports",
)  # fmt: skip
"""Files and folders of a home."""

TOP_LEVEL = tuple(dict.fromkeys(PurePosixPath(path).parts[0] for path in PATHS))
"""Their first path components: what a restore replaces."""

_RENDERED = "triton/models/"
"""Code that Triton runs. The serving agent renders it, so no copy of it may come back; older backups contain it."""

_WRITTEN_ONCE = ("lake/", "bundles/", "imports/", "mlflow/artifacts/")
_DERIVED = (".index", ".timeindex", "-shm", ".pyc", ".partial")
_RUN_FILES = ("kafka/data/.lock", "kafka/data/.kafka_cleanshutdown")
"""The second file says that a log needs no recovery: a restored log does, to get its indexes."""
_POINTER = "_last_checkpoint"
"""The one file of a Delta table that is replaced."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a home at the time of the scan."""

    name: str
    """Relative path with slashes."""
    size: int
    """Bytes; what is appended later is not copied."""

    @property
    def is_written_once(self) -> bool:
        """Return whether its content never changes, so that it can be copied later."""
        return self.name.startswith(_WRITTEN_ONCE) and not self.name.endswith(_POINTER)


def list_entries(home: Path) -> list[Entry]:
    """Return every file of a backup, sorted by name."""
    paths = [path for name in PATHS for path in _files(home / name)]
    named = ((path.relative_to(home).as_posix(), path) for path in paths)
    return sorted(
        (Entry(name, path.stat().st_size) for name, path in named if _is_included(name)), key=lambda entry: entry.name
    )


def is_state(name: str) -> bool:
    """Return whether a backup may contain a file with this name."""
    return any(name == path or name.startswith(f"{path}/") for path in PATHS) and _is_included(name)


def is_rendered(name: str) -> bool:
    """Return whether the file is rendered again after a restore."""
    return name.startswith(_RENDERED)


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    else:
        yield from (file for file in path.rglob("*") if file.is_file())


def _is_included(name: str) -> bool:
    """Exclude derived files, files of one run, and unfinished files of the lake, which have ``#`` in their names."""
    return not name.endswith(_DERIVED) and name not in _RUN_FILES and "#" not in name
