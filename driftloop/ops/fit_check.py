"""Tries new loops: fits their trainers on generated rows, and reads some days of their past."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from driftloop.loop import Loop, to_ms
from driftloop.ops.check_process import end_check, failure_of, start_check
from driftloop.ops.demo.plan import read_plan
from driftloop.process.settings import Settings

_FIT = "services.training.fit_check"
_PAST = "driftloop.ops.replay.check"
"""Modules to run, each in a process of its own: they import a loop's libraries."""
_START_MS = 1_767_225_600_000
"""What is read without a plan begins in January 2026."""
_SPAN_MS = 7 * 86_400_000
_PAST_S = 120.0
_STARTED_S = 60.0
"""Wall time for imports, in addition to the loop's own limit."""


def try_loop(settings: Settings, loop: Loop, features: Sequence[tuple[str, str]]) -> list[str]:
    """Return the problems of a loop that show when its code runs, as ``file:line: message``.

    ``features``: name and type of each feature of the model, as `check_loops` finds them.
    """
    problems = []
    if loop.definition.training.trainer is not None:
        limit_s = loop.definition.training.time_limit.total_seconds()
        arguments = ["--features", json.dumps(list(features))]
        where = loop.line_of("training", "time_limit")
        problems += _run(_FIT, loop.folder, arguments, settings, limit_s + _STARTED_S, f"{where}: a fit")
    if (loop.folder / "source.py").exists():
        where = f"{loop.folder / 'source.py'}:1"
        span = [str(time_ms) for time_ms in _span(loop)]
        problems += _run(_PAST, loop.folder, span, settings, _PAST_S, f"{where}: reading a week of the past")
    return problems


def _span(loop: Loop) -> tuple[int, int]:
    """Return the time of the past to read: the first days of the loop's plan."""
    if not (loop.folder / "demo.yaml").exists():
        return _START_MS, _START_MS + _SPAN_MS
    plan = read_plan(loop.folder)
    return plan.start_ms, min(plan.start_ms + max(to_ms(plan.step), _SPAN_MS), plan.end_ms)


def _run(
    module: str, folder: Path, arguments: Sequence[str], settings: Settings, timeout_s: float, what: str
) -> list[str]:
    """Return the problems that a module prints; ``what`` is the place and name of its work."""
    process = start_check(module, [str(folder.resolve()), *arguments], settings)
    try:
        out, errors = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return [f"{what} did not end within {timeout_s:.0f} s"]
    finally:
        end_check(process)
    if failure := failure_of(process, errors):
        return [f"{what} {failure}"]
    return [str(problem) for problem in json.loads(out)]
