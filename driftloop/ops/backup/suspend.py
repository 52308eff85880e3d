"""Suspends processes, so that their files can be copied as they are at one moment."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

import psutil

from driftloop.process.errors import DriftloopError
from driftloop.process.settings import ROOT

Find = Callable[[], Iterable[psutil.Process]]
"""Returns the running processes of a group with their descendants."""

_STOPPED_S = 30.0
_CHECK_S = 0.002
_END_S = 10.0
_GONE = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


@contextmanager
def suspended(groups: Sequence[Find]) -> Iterator[None]:
    """Suspend the processes of each group (SIGSTOP), group after group, for a block; then resume them in reverse.

    Raises:
        DriftloopError: a process did not stop within 30 s, or the groups' processes changed meanwhile.
    """
    stopped: list[psutil.Process] = []
    with _guard() as protect:
        try:
            for find in groups:
                while new := _running(find) - set(stopped):
                    protect(new)
                    stopped += new
                    _stop(new)
            yield
            if _running(*groups) != set(stopped):
                raise DriftloopError("a part ended or started during the copy, so it is inconsistent; try again")
        finally:
            for process in reversed(stopped):
                with suppress(psutil.NoSuchProcess):
                    process.resume()


@contextmanager
def _guard() -> Iterator[Callable[[Iterable[psutil.Process]], None]]:
    """Start a process that resumes the given processes if this one is killed."""
    reads, writes = os.pipe()
    try:
        guard = subprocess.Popen(
            [sys.executable, "-m", "driftloop.ops.backup.resume_guard"],
            cwd=ROOT,
            stdin=reads,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
    finally:
        os.close(reads)
    try:
        yield lambda processes: _write(writes, "".join(f"{process.pid}\n" for process in processes))
    finally:
        os.close(writes)
        guard.wait(_END_S)


def _write(descriptor: int, text: str) -> None:
    """Write a few numbers: a pipe accepts them at once."""
    os.write(descriptor, text.encode())


def _running(*groups: Find) -> set[psutil.Process]:
    return {process for find in groups for process in find() if _status(process) not in _GONE}


def _stop(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.suspend()
    deadline = time.monotonic() + _STOPPED_S
    for process in processes:
        while _status(process) not in (psutil.STATUS_STOPPED, *_GONE):  # the signal takes effect after a moment
            if time.monotonic() > deadline:
                raise DriftloopError(f"process {process.pid} did not stop within {_STOPPED_S:.0f} s; try again")
            time.sleep(_CHECK_S)


def _status(process: psutil.Process) -> str:
    try:
        return str(process.status())
    except psutil.NoSuchProcess:
        return str(psutil.STATUS_DEAD)
