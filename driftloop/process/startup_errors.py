"""Startup errors: files below ``DRIFTLOOP_HOME/run`` in which a process says why it refuses its configuration.

The supervisor restarts the process without effect until the configuration is fixed.

A process that refuses only some of its loops runs with the others. It names the refused ones in ``<process>.loops``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from driftloop.process.atomic_file import replace_file
from driftloop.process.redaction import redact

_SUFFIX = ".refused"
_LOOPS_SUFFIX = ".loops"


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
    for path in [*_all(home), *(home / "run").glob(f"*{_LOOPS_SUFFIX}")]:
        path.unlink(missing_ok=True)


def _path(home: Path, process: str) -> Path:
    return home / "run" / f"{process}{_SUFFIX}"


def _all(home: Path) -> list[Path]:
    return sorted((home / "run").glob(f"*{_SUFFIX}"))


def write_refused_loops(home: Path, process: str, problems: Mapping[str, list[str]]) -> None:
    """Write the loops that a process left out at its start, with the problems of each; replace what it wrote before."""
    path = home / "run" / f"{process}{_LOOPS_SUFFIX}"
    if problems:
        replace_file(path, json.dumps(problems))
    else:
        path.unlink(missing_ok=True)


def read_refused_loops(home: Path) -> dict[str, list[str]]:
    """Return the loops that a running process left out, with their problems."""
    loops: dict[str, list[str]] = {}
    for path in sorted((home / "run").glob(f"*{_LOOPS_SUFFIX}")):
        with suppress(FileNotFoundError):  # cleared in the meantime
            for loop, problems in json.loads(path.read_text()).items():
                loops[loop] = list(dict.fromkeys([*loops.get(loop, []), *problems]))
    return loops
