"""Executes a run on another machine: ``python -m services.training.run.remote --spec FILE_OR_URL``.

Copies the spec from the folder in a bucket to this machine, executes the run as a local process, enforces its limits of
time and memory, and stores its result in the folder. So a run ends with the same result wherever it is launched. What
the run writes to its standard error is repeated, for the logs of a cluster.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from driftloop.process.errors import DriftloopError, Retriable
from driftloop.process.object_store import Folder, RemoteFolder, folder_of
from driftloop.process.private_files import keep_files_private
from driftloop.process.settings import Settings
from driftloop.process.signals import run_on_thread
from services.training.adapters.subprocess_launcher import COMMAND, STDERR, SubprocessLauncher
from services.training.limits import exceeded_limit
from services.training.ports import Observation
from services.training.spec import Failed, Result, RunSpec, on_this_machine, read_spec, write_result

STOPPED = 143
"""Exit code after a stop on request (SIGTERM): no result is stored, so the run can start again."""

_PAUSE_S = 0.25
_BOUND = ("setpriv", "--pdeathsig", "KILL")
"""Prefix of a command that the kernel kills when this process dies. Part of Debian's essential util-linux."""
_KILLS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
"""Files with the number of processes of this container that the kernel killed for want of memory; cgroups 2 and 1."""


def main(arguments: list[str] | None = None, command: Sequence[str] = COMMAND) -> int:
    """Execute the run and store its result; return the exit code."""
    keep_files_private()
    parser = argparse.ArgumentParser()
    parser.add_argument("--spec", required=True)
    url = parser.parse_args(arguments).spec
    folder, _ = folder_of(url)
    stop = threading.Event()
    request_stop = run_on_thread(stop.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, request_stop)
    try:
        spec = _spec(url, folder)
    except Retriable:
        raise
    except DriftloopError as error:
        write_result(folder, Failed("error", str(error)))
        return 0
    result = _execute(spec, command, stop)
    if result is None:
        return STOPPED
    write_result(folder, result)
    return 0


def _spec(url: str, folder: Folder) -> RunSpec:
    """Return the spec. Without a bucket, both machines have the same folders."""
    spec = read_spec(url)
    return on_this_machine(spec, Settings()) if isinstance(folder, RemoteFolder) else spec


def _execute(spec: RunSpec, command: Sequence[str], stop: threading.Event) -> Result | None:
    """Execute the run; return its result, or None if it was stopped."""
    launcher, log = SubprocessLauncher({}, (*_BOUND, *command)), _Follower(Path(spec.folder) / STDERR)
    kills = memory_kills()
    started = time.monotonic()
    launcher.launch(spec)
    try:
        while not stop.wait(_PAUSE_S):
            observation = launcher.observe(spec)
            log.copy()
            failure = exceeded_limit(spec, observation, time.monotonic() - started)
            if failure is not None:
                launcher.stop(spec)
                return launcher.observe(spec).result or failure
            if observation.phase == "ended":
                return observation.result or _death(observation, memory_kills() - kills)
            if observation.phase == "absent":
                return Failed("error", "another process had the run's folder, and ended without a result")
    finally:
        launcher.close()
    return None


def _death(observation: Observation, kills: int) -> Failed:
    """Return the failure of a run that died without a result."""
    if kills > 0:
        return Failed("memory", f"the kernel killed the run at the container's memory limit\n{observation.stderr_tail}")
    return Failed("error", observation.stderr_tail)


def memory_kills(paths: Sequence[str] = _KILLS) -> int:
    """Return how many processes of this container the kernel has killed for want of memory."""
    for path in paths:
        if Path(path).exists():
            lines = [line.split() for line in Path(path).read_text().splitlines()]
            return sum(int(words[1]) for words in lines if words[:1] == ["oom_kill"])
    return 0


class _Follower:
    """Copies what is appended to a file to standard error."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = path.stat().st_size if path.exists() else 0

    def copy(self) -> None:
        with self._path.open("rb") as file:
            file.seek(self._position)
            content = file.read()
        self._position += len(content)
        sys.stderr.buffer.write(content)
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
