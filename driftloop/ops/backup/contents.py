"""What of a home a backup holds.

Left out is what belongs to running processes (`run/`, locks, shared memory of SQLite), what is made again from the rest
(Kafka's indexes, which are as large as they may become while it runs; Faust's folder) and what says about the machine
(`logs/`, `traces/`, `prometheus/`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

PLACES = (
    "state", "online", "feast", "mlflow", "spool", "triton", "training", "kafka/data", "demo.json", "former-homes.json",
    "lake", "bundles", "imports",
)  # fmt: skip
"""Files and folders of a home."""

TOPS = tuple(dict.fromkeys(PurePosixPath(each).parts[0] for each in PLACES))
"""Their first parts: what a restore replaces."""

_WRITTEN_ONCE = ("lake/", "bundles/", "imports/", "mlflow/artifacts/")
_DERIVED = (".index", ".timeindex", "-shm", ".pyc", ".partial")
_OF_ONE_RUN = ("kafka/data/.lock", "kafka/data/.kafka_cleanshutdown")
"""The second says that a log needs no look: a restored one gets it, and its indexes."""
_POINTER = "_last_checkpoint"
"""The one file of a Delta table that is replaced."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a home, as it was when it was looked at."""

    name: str
    """Relative, with slashes."""
    size: int
    """Bytes; what is appended later is not of that moment."""

    @property
    def is_written_once(self) -> bool:
        """Whether its content stays what it is, so that it can be copied later."""
        return self.name.startswith(_WRITTEN_ONCE) and not self.name.endswith(_POINTER)


def entries(home: Path) -> list[Entry]:
    """Every file that a backup holds, in the order of their names."""
    found = [path for place in PLACES for path in _files(home / place)]
    named = ((path.relative_to(home).as_posix(), path) for path in found)
    return sorted((Entry(name, path.stat().st_size) for name, path in named if _belongs(name)), key=lambda e: e.name)


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    else:
        yield from (each for each in path.rglob("*") if each.is_file())


def _belongs(name: str) -> bool:
    """A name with ``#`` is a file of the lake that is not whole yet."""
    return not name.endswith(_DERIVED) and name not in _OF_ONE_RUN and "#" not in name
