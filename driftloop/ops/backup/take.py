"""Takes a backup: everything that may change is copied while its writers are held still, the rest when they go on."""

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
from driftloop.ops.backup.archive import Limited, Writer, add_bytes, said, writing
from driftloop.ops.backup.contents import TOPS, Entry, entries
from driftloop.ops.backup.manifest import NAME, FileEntry, Manifest
from driftloop.ops.backup.metadata import homes_of, loops_of, revisions_of
from driftloop.ops.backup.suspend import Find, family, held_still
from driftloop.ops.system.supervisor import Supervisor
from driftloop.process.clock import Clock
from driftloop.process.errors import ConfigError, DriftloopError
from driftloop.process.settings import Settings
from driftloop.process.tcp_ports import BASE

Progress = Callable[[int, int], None]
"""Called with the bytes done so far and the bytes in all."""

_GOES_ON = ("triton", "prometheus")
"""Parts that write nothing that has to agree with the rest: predictions are answered during a backup."""


@dataclass(frozen=True)
class Taken:
    """A backup that is there."""

    manifest: Manifest
    still_s: float
    """How long the services and Kafka were held still, at most; 0 where nothing ran."""
    total_s: float


def take(settings: Settings, target: Path, clock: Clock, progress: Progress) -> Taken:
    """Copy a home to a folder, or to a tar file where ``target`` ends in ``.tar``.

    Raises:
        ConfigError: the home is empty, or the system's state is not all in it; the target is taken or has no room;
            another backup is under way.
        DriftloopError: a part ended or started meanwhile.
    """
    _refuse(settings, target)
    began = time.monotonic()
    with _alone(settings.home), writing(target) as writer:
        files: dict[str, FileEntry] = {}
        still_from = time.monotonic()
        with _held(settings) as held:
            wall_ms, found, loops = clock.now_ms(), entries(settings.home), loops_of(settings)
            _refuse_without_room(target, found)
            done = _Done(progress, sum(each.size for each in found))
            files |= _copy(settings.home, writer, [each for each in found if not each.is_written_once], done)
        still_s = time.monotonic() - still_from
        files |= _copy(settings.home, writer, [each for each in found if each.is_written_once], done)
        homes, revisions = homes_of(settings.home), revisions_of(settings.home)
        manifest = Manifest(
            driftloop=__version__, taken_wall_ms=wall_ms, homes=homes, revisions=revisions, loops=loops, files=files
        )
        add_bytes(writer, NAME, manifest.to_json(), wall_ms)
    return Taken(manifest, round(still_s if held else 0.0, 3), round(time.monotonic() - began, 3))


@dataclass
class _Done:
    progress: Progress
    total: int
    bytes: int = 0

    def add(self, size: int) -> None:
        self.bytes += size
        self.progress(self.bytes, self.total)


def _copy(home: Path, writer: Writer, found: Sequence[Entry], done: _Done) -> dict[str, FileEntry]:
    files = {}
    for entry in found:
        try:
            file = (home / entry.name).open("rb")
        except FileNotFoundError as error:
            raise DriftloopError(f"{home / entry.name} was removed meanwhile; try again") from error
        with file:
            status = os.fstat(file.fileno())
            source = Limited(file, entry.size)
            writer.add(entry.name, source, status.st_mtime_ns, status.st_mode & 0o777)
        if source.missing:
            raise DriftloopError(f"{home / entry.name} was cut short meanwhile; try again")
        files[entry.name] = said(source, status.st_mtime_ns, status.st_mode & 0o777)
        done.add(entry.size)
    return files


@contextmanager
def _held(settings: Settings) -> Iterator[bool]:
    """The parts that write held still, Kafka last, so that nobody has read what the copy of its log lacks."""
    supervisor = Supervisor(settings)
    runs = supervisor.alive()
    if not runs and supervisor.left():
        raise ConfigError(
            f"a system runs on {settings.home}, and not on these ports; give the {BASE} that it was started with"
        )
    groups: list[Find] = [partial(_services, supervisor), partial(_parts, supervisor, ("kafka",))]
    with held_still(groups) if runs else nullcontext():
        yield runs
    if not runs and supervisor.left():
        raise DriftloopError("the system was started meanwhile, so this is no copy of one moment; try again")


def _services(supervisor: Supervisor) -> set[psutil.Process]:
    """All that the supervisor has started, apart from Kafka and what goes on."""
    return supervisor.left() - _parts(supervisor, (*_GOES_ON, "kafka")) - {supervisor.daemon()}


def _parts(supervisor: Supervisor, names: Sequence[str]) -> set[psutil.Process]:
    try:
        return family(pid for each in supervisor.running() if each.name in names for pid in each.pids)
    except CallError as error:
        raise DriftloopError(f"the supervisor does not answer ({error}); try again") from error


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Two backups of a home at once would let each other's processes go."""
    path = home / "run" / "backup.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"another backup of {home} is under way; wait for its end") from error
        yield


def _refuse(settings: Settings, target: Path) -> None:
    home = settings.home
    if not (home / "state").is_dir():
        raise ConfigError(
            f"there is no state in {home}; set DRIFTLOOP_HOME to the home of a system (a demo's is var/demo)"
        )
    if settings.state_url or settings.kafka_bootstrap != settings.local("KAFKA_PORT"):
        where = "DRIFTLOOP_STATE_URL" if settings.state_url else "DRIFTLOOP_KAFKA_BOOTSTRAP"
        raise ConfigError(f"{where} says that state stands outside of {home}; docs/operations.md says how to copy that")
    if target.name.endswith((".tar.gz", ".tgz", ".tar.zst", ".gz", ".zip")):
        raise ConfigError(f"{target} is to be compressed; give a name that ends in .tar, and compress that file")
    if any(target.resolve().is_relative_to((home / each).resolve()) for each in TOPS):
        raise ConfigError(f"{target} is inside of what is copied; give a place outside of {home}")


def _refuse_without_room(target: Path, found: Sequence[Entry]) -> None:
    size, free = sum(each.size for each in found), shutil.disk_usage(target.resolve().parent).free
    if size > free:
        raise ConfigError(f"{target} needs {size >> 20:,} MiB, and its disk has {free >> 20:,} MiB left")
