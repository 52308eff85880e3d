"""Processes that tests start and kill."""

from __future__ import annotations

from contextlib import suppress

import psutil


def gone(pid: int) -> bool:
    """Return whether a process has ended."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def kill_all(pid: int) -> None:
    """Kill a process and its descendants, as the end of a container does."""
    with suppress(psutil.NoSuchProcess):
        first = psutil.Process(pid)
        for process in (first, *first.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                process.kill()
