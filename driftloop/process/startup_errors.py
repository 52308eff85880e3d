"""Startup errors: files below ``DRIFTLOOP_HOME/run`` in which a process says why it refuses its configuration.

The supervisor restarts the process without effect until the configuration is fixed.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from driftloop.process.atomic_file import replace_file
from driftloop.process.redaction import redact

_SUFFIX = ".refused"


def write_startup_errors(home: Path, process: str, problem: str) -> None:
    """Write the problems that a process found, one per line, without passwords."""
    replace_file(_path(home, process), redact(problem))


def clear_startup_errors(home: Path, process: str) -> None:
    """Remove the problems of a process."""
    _path(home, process).unlink(missing_ok=True)


def read_startup_errors(home: Path) -> list[str]:
    """Return the problems of all processes, without duplicates."""
    problems: dict[str, None] = {}
    for path in _all(home):
        with suppress(FileNotFoundError):  # cleared in the meantime
            problems |= dict.fromkeys(path.read_text().splitlines())
    return list(problems)


def clear_all_startup_errors(home: Path) -> None:
    """Remove the problems of all processes. Call it before starting any."""
    for path in _all(home):
        path.unlink(missing_ok=True)


def _path(home: Path, process: str) -> Path:
    return home / "run" / f"{process}{_SUFFIX}"


def _all(home: Path) -> list[Path]:
    return sorted((home / "run").glob(f"*{_SUFFIX}"))
