"""Holds processes still, so that what they have written can be copied as it is at one moment."""

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
"""Processes of one group that run now, with those that they have started."""

_STOPPED_S = 30.0
_GLANCE_S = 0.002
_END_S = 10.0
_GONE = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


@contextmanager
def held_still(groups: Sequence[Find]) -> Iterator[None]:
    """Stop the processes of each group (SIGSTOP), a group after the other, for a block; then they go on, in reverse.

    Raises:
        DriftloopError: one did not stop within half a minute, or another process of the groups ran at the end.
    """
    held: list[psutil.Process] = []
    with _guard() as tell:
        try:
            for find in groups:
                while new := _running(find) - set(held):
                    tell(new)
                    held += new
                    _stop(new)
            yield
            if _running(*groups) != set(held):
                raise DriftloopError("a part ended or started meanwhile, so this is no copy of one moment; try again")
        finally:
            for process in reversed(held):
                with suppress(psutil.NoSuchProcess):
                    process.resume()


@contextmanager
def _guard() -> Iterator[Callable[[Iterable[psutil.Process]], None]]:
    """Lets processes go on that it was told of, should this process be killed: another one waits for its end."""
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
        yield lambda processes: _write(writes, "".join(f"{each.pid}\n" for each in processes))
    finally:
        os.close(writes)
        guard.wait(_END_S)


def _write(descriptor: int, text: str) -> None:
    """A few numbers: a pipe takes them at once."""
    os.write(descriptor, text.encode())


def family(pids: Iterable[int]) -> set[psutil.Process]:
    """Processes and all that they have started."""
    found: set[psutil.Process] = set()
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            found |= {process, *process.children(recursive=True)}
    return found


def _running(*groups: Find) -> set[psutil.Process]:
    return {each for find in groups for each in find() if _status(each) not in _GONE}


def _stop(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.suspend()
    deadline = time.monotonic() + _STOPPED_S
    for process in processes:
        while _status(process) not in (psutil.STATUS_STOPPED, *_GONE):  # the signal is not there at once
            if time.monotonic() > deadline:
                raise DriftloopError(f"process {process.pid} does not stop; try again")
            time.sleep(_GLANCE_S)


def _status(process: psutil.Process) -> str:
    try:
        return str(process.status())
    except psutil.NoSuchProcess:
        return str(psutil.STATUS_DEAD)
