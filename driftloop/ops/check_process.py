"""Runs a check of loops in a process of its own, because it imports the libraries of a loop or of a service."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress

from driftloop.process.settings import ROOT, Settings


def start_check(module: str, arguments: Iterable[str], settings: Settings) -> subprocess.Popen[str]:
    """Start ``python -m <module>`` with these settings, in a session of its own; the caller ends it."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT, env={**os.environ, **settings.variables()}, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def end_check(process: subprocess.Popen[str]) -> None:
    """Kill a check and the processes that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def failure_of(process: subprocess.Popen[str], errors: str) -> str:
    """Return how a check that has ended failed, with its last line of standard error; empty if it did not."""
    if not process.returncode:
        return ""
    last = (errors.strip().splitlines() or ["it printed nothing"])[-1]
    return f"ended with exit code {process.returncode}: {last}"
