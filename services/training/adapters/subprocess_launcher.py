"""Launches runs as local processes.

A run holds a lock on a file in its folder while it lives. The launcher takes the lock before it starts the process and
passes it on. A live run therefore always holds its lock, whichever process is killed first. On a shared disk a run of
another machine may hold it: that one is left alone, because its process id means another process here.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from driftloop.process.redaction import redact
from driftloop.process.settings import ROOT
from services.training.ports import Observation
from services.training.spec import RunSpec, clear_pid, read_pid, read_result, write_pid, write_spec

LOCK = "lock"
STDERR = "stderr.log"
COMMAND = (sys.executable, "-m", "services.training.run")

_NICE = "5"
_WAIT_S = 10.0
_TAIL_LINES = 20
_TAIL_BYTES = 8192


class SubprocessLauncher:
    """`services.training.ports.Launcher` with processes, each the leader of its own session."""

    start_limit_s = 0.0
    outlives_service = False

    def __init__(self, environment: Mapping[str, str], command: Sequence[str] = COMMAND) -> None:
        self._environment = {**os.environ, **environment}
        self._command = command
        self._processes: dict[Path, subprocess.Popen[bytes]] = {}

    def launch(self, spec: RunSpec) -> None:
        folder = Path(spec.folder)
        path = write_spec(spec)
        with _locked(folder) as lock, (folder / STDERR).open("ab") as stderr:
            if lock is None:
                return
            clear_pid(folder)
            process = subprocess.Popen(
                ["nice", "-n", _NICE, *self._command, "--spec", str(path)],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
                pass_fds=(lock,),
            )
            write_pid(folder, process.pid)
        self._processes[folder] = process

    def observe(self, spec: RunSpec) -> Observation:
        folder = Path(spec.folder)
        process = self._processes.get(folder)
        alive = process.poll() is None if process is not None else _is_locked(folder)
        result = read_result(folder)
        if result is not None:
            self._reap(folder)
            return Observation("ended", result=result)
        if alive:
            return Observation("running", memory_mib=_memory_mib(read_pid(folder)))
        if process is None:
            return Observation("absent")
        del self._processes[folder]
        return Observation("ended", stderr_tail=_stderr_tail(folder, process.returncode))

    def stop(self, spec: RunSpec) -> None:
        self._stop(Path(spec.folder))

    def close(self) -> None:
        for folder in list(self._processes):
            self._stop(folder)

    def _stop(self, folder: Path) -> None:
        process = self._processes.pop(folder, None)
        pid = process.pid if process is not None else read_pid(folder)
        if pid is not None and (process is not None or _is_locked(folder)):
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        if process is not None:
            process.wait(_WAIT_S)

    def _reap(self, folder: Path) -> None:
        """Wait for a process that has written its result."""
        process = self._processes.get(folder)
        if process is None:
            return
        try:
            process.wait(_WAIT_S)
            del self._processes[folder]
        except subprocess.TimeoutExpired:
            self._stop(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[int | None]:
    """Yield the folder's lock as a file descriptor, or None if a run holds it."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
    except BlockingIOError:
        yield None
    finally:
        os.close(descriptor)


def _is_locked(folder: Path) -> bool:
    if not (folder / LOCK).exists():
        return False
    with _locked(folder) as lock:
        return lock is None


def _memory_mib(pid: int | None) -> float:
    """Return the proportional set size of a process and its descendants in MiB. PSS counts shared pages once."""
    if pid is None:
        return 0.0
    total = 0
    with suppress(psutil.NoSuchProcess):
        leader = psutil.Process(pid)
        for process in (leader, *leader.children(recursive=True)):
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError):
                total += process.memory_full_info().pss
    return total / 2**20


def _stderr_tail(folder: Path, code: int) -> str:
    text = (folder / STDERR).read_bytes()[-_TAIL_BYTES:].decode(errors="replace")
    return "\n".join([f"exit code {code}", *redact(text).splitlines()[-_TAIL_LINES:]])
