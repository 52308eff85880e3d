"""Startup errors: files below ``DRIFTLOOP_HOME/run`` in which a process says why it refuses its configuration.

The supervisor restarts the process without effect until the configuration is fixed.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from driftloop.process.atomic_file import replace_file

_SUFFIX = ".refused"


def write_startup_errors(home: Path, process: str, problem: str) -> None:
    """Say what is wrong, a line for each problem."""
    replace_file(_path(home, process), problem)


def clear_startup_errors(home: Path, process: str) -> None:
    """What was said before is no longer so."""
    _path(home, process).unlink(missing_ok=True)


def read_startup_errors(home: Path) -> list[str]:
    """All problems that stand, each once."""
    problems: dict[str, None] = {}
    for path in _all(home):
        with suppress(FileNotFoundError):  # withdrawn meanwhile
            problems |= dict.fromkeys(path.read_text().splitlines())
    return list(problems)


def clear_all_startup_errors(home: Path) -> None:
    """Withdraw all, before anything is started."""
    for path in _all(home):
        path.unlink(missing_ok=True)


def _path(home: Path, process: str) -> Path:
    return home / "run" / f"{process}{_SUFFIX}"


def _all(home: Path) -> list[Path]:
    return sorted((home / "run").glob(f"*{_SUFFIX}"))
