"""Takes a backup: files that change are copied while their writers are suspended, the others afterwards."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
from circus.exc import CallError

from driftloop import __version__
from driftloop.ops.backup.archive import SizedReader, Writer, add_bytes, file_entry, writing
from driftloop.ops.backup.contents import TOP_LEVEL, Entry, list_entries
from driftloop.ops.backup.manifest import NAME, FileEntry, Manifest
from driftloop.ops.backup.metadata import known_homes, read_loops, read_revisions
from driftloop.ops.backup.suspend import Find, suspended
from driftloop.ops.system.health import with_descendants
from driftloop.ops.system.supervisor import Supervisor
from driftloop.process.clock import Clock
from driftloop.process.errors import ConfigError, DriftloopError
from driftloop.process.settings import Settings
from driftloop.process.tcp_ports import BASE

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in total."""

_KEEP_RUNNING = ("triton", "prometheus")
"""Parts whose files need not agree with the rest: they keep running, so predictions are answered during a backup."""


@dataclass(frozen=True)
class Backup:
    """A finished backup."""

    manifest: Manifest
    suspended_s: float
    """Longest time that services and Kafka were suspended; 0 if nothing ran."""
    total_s: float


def take_backup(settings: Settings, target: Path, clock: Clock, progress: Progress) -> Backup:
    """Copy a home to a folder, or to a tar file if ``target`` ends in ``.tar``.

    Raises:
        ConfigError: the home is empty or does not have all state of the system; the target exists or its disk is too
        small; another backup runs.
        DriftloopError: a part ended or started meanwhile.
    """
    _check_target(settings, target)
    started = time.monotonic()
    with _exclusive(settings.home), writing(target) as writer:
        files: dict[str, FileEntry] = {}
        suspended_from = time.monotonic()
        with _suspend_writers(settings) as was_running:
            wall_ms, entries, loops = clock.now_ms(), list_entries(settings.home), read_loops(settings)
            _refuse_without_room(target, entries)
            done = _ProgressCounter(progress, sum(entry.size for entry in entries))
            files |= _copy(settings.home, writer, [entry for entry in entries if not entry.is_written_once], done)
        suspended_s = time.monotonic() - suspended_from
        files |= _copy(settings.home, writer, [entry for entry in entries if entry.is_written_once], done)
        homes, revisions = known_homes(settings.home), read_revisions(settings.home)
        manifest = Manifest(
            driftloop=__version__, taken_wall_ms=wall_ms, homes=homes, revisions=revisions, loops=loops, files=files
        )
        add_bytes(writer, NAME, manifest.to_json(), wall_ms)
    return Backup(manifest, round(suspended_s if was_running else 0.0, 3), round(time.monotonic() - started, 3))


@dataclass
class _ProgressCounter:
    progress: Progress
    total: int
    bytes: int = 0

    def add(self, size: int) -> None:
        self.bytes += size
        self.progress(self.bytes, self.total)


def _copy(home: Path, writer: Writer, entries: Sequence[Entry], done: _ProgressCounter) -> dict[str, FileEntry]:
    files = {}
    for entry in entries:
        try:
            file = (home / entry.name).open("rb")
        except FileNotFoundError as error:
            raise DriftloopError(f"{home / entry.name} was removed during the copy; try again") from error
        with file:
            status = os.fstat(file.fileno())
            source = SizedReader(file, entry.size)
            writer.add(entry.name, source, status.st_mtime_ns, status.st_mode & 0o777)
        if source.missing:
            raise DriftloopError(f"{home / entry.name} became shorter during the copy; try again")
        files[entry.name] = file_entry(source, status.st_mtime_ns, status.st_mode & 0o777)
        done.add(entry.size)
    return files


@contextmanager
def _suspend_writers(settings: Settings) -> Iterator[bool]:
    """Suspend the parts that write, Kafka last, so that no consumer has read records which the copied log lacks."""
    supervisor = Supervisor(settings)
    runs = supervisor.alive()
    if not runs and supervisor.processes():
        raise ConfigError(f"a system with other ports uses {settings.home}; set {BASE} as when it was started")
    with suspended(writers(supervisor)) if runs else nullcontext():
        yield runs
    if not runs and supervisor.processes():
        raise DriftloopError("the system was started during the copy, so it is inconsistent; try again")


def writers(supervisor: Supervisor) -> list[Find]:
    """Return how to find the processes that write: first the services, then Kafka."""
    return [partial(_services, supervisor), partial(_parts, supervisor, ("kafka",))]


def _services(supervisor: Supervisor) -> set[psutil.Process]:
    """Return all processes of the supervisor except Kafka and the parts that keep running."""
    return supervisor.processes() - _parts(supervisor, (*_KEEP_RUNNING, "kafka")) - {supervisor.daemon()}


def _parts(supervisor: Supervisor, names: Sequence[str]) -> set[psutil.Process]:
    try:
        return with_descendants(pid for part in supervisor.running() if part.name in names for pid in part.pids)
    except CallError as error:
        raise DriftloopError(f"the supervisor does not answer ({error}); try again") from error


@contextmanager
def _exclusive(home: Path) -> Iterator[None]:
    """Exclude a second backup: each would resume the other's processes."""
    path = home / "run" / "backup.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"another backup of {home} is in progress; wait until it ends") from error
        yield


def _check_target(settings: Settings, target: Path) -> None:
    home = settings.home
    if not (home / "state").is_dir():
        raise ConfigError(f"{home} has no state; set DRIFTLOOP_HOME to the home of a system (a demo uses var/demo)")
    outside = {
        "DRIFTLOOP_STATE_URL": settings.state_url != "",
        "DRIFTLOOP_KAFKA_BOOTSTRAP": settings.kafka_bootstrap != settings.local("KAFKA_PORT"),
        "DRIFTLOOP_ONLINE_URL": settings.online_url != "",
    }
    for name in (name for name, is_outside in outside.items() if is_outside):
        raise ConfigError(f"{name} places state outside of {home}; docs/operations.md says how to copy it")
    if target.name.endswith((".tar.gz", ".tgz", ".tar.zst", ".gz", ".zip")):
        raise ConfigError(f"{target}: compressed backups are not supported; name a .tar file, then compress that file")
    if any(target.resolve().is_relative_to((home / name).resolve()) for name in TOP_LEVEL):
        raise ConfigError(f"{target} is inside the copied files; name a path outside of {home}")


def _refuse_without_room(target: Path, entries: Sequence[Entry]) -> None:
    size, free = sum(entry.size for entry in entries), shutil.disk_usage(target.resolve().parent).free
    if size > free:
        raise ConfigError(f"{target} needs {size >> 20:,} MiB, and its disk has {free >> 20:,} MiB left")
