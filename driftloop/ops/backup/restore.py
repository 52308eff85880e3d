"""Restores a home from a backup: everything is read and verified before the home changes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from driftloop import __version__
from driftloop.model.path_relocation import record_relocation
from driftloop.ops.backup.archive import Reader, SizedReader, copy, reading
from driftloop.ops.backup.contents import TOP_LEVEL, is_rendered, is_state
from driftloop.ops.backup.manifest import NAME, FileEntry, Manifest, parse_manifest, version_number
from driftloop.ops.backup.metadata import unknown_revisions
from driftloop.ops.backup.take import Progress
from driftloop.ops.system.incomplete_restore import VERIFIED
from driftloop.ops.system.supervisor import Supervisor
from driftloop.process.errors import ConfigError
from driftloop.process.private_files import make_home_private
from driftloop.process.settings import Settings

UNREAD = "restore.unread"
"""Folder for files until all were read."""
_REPLACED = "restore.replaced"
_MODE = 0o600
"""Whatever the backup says: it may come from somebody else."""
_DISCARDED = ("faust", "run")
"""Folders of the replaced state that are not in a backup."""


def restore_backup(
    settings: Settings, source: Path, progress: Progress, *, force: bool, decided: Callable[[], None] = lambda: None
) -> Manifest:
    """Copy a backup's files into the home; with ``force``, replace those that are there.

    ``decided`` is called when all files are verified: the rest takes no time and must not be interrupted.

    Raises:
        ConfigError: the system runs; the home is not empty; the backup is damaged, incomplete or of a newer version;
        the disk is too small. The home is unchanged.
    """
    home = settings.home
    _refuse_running(settings)
    with reading(source) as backup:
        manifest = parse_manifest(backup.manifest(), str(source))
        _refuse_newer(manifest, source)
        _refuse_foreign_files(manifest, source)
        _refuse_nonempty(home, force)
        make_home_private(home)
        _refuse_without_room(home, manifest)
        unread = home / UNREAD
        shutil.rmtree(unread, ignore_errors=True)
        try:
            unread.mkdir()
            _read(backup, manifest, unread, source, progress)
            record_relocation(unread, manifest.homes)
            decided()
        except BaseException:
            shutil.rmtree(unread, ignore_errors=True)
            raise
    _put_in_place(home)
    return manifest


def _read(backup: Reader, manifest: Manifest, folder: Path, source: Path, progress: Progress) -> None:
    done = 0
    for name, expected in manifest.files.items():
        if is_rendered(name):
            continue
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with backup.open(name) as file, path.open("wb") as target:
                limited = SizedReader(file, expected.size + 1)
                copy(limited, target)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:  # a file and a folder of one name
            raise ConfigError(f"{source}: {NAME} is damaged; take another backup") from error
        if path.stat().st_size != expected.size or limited.sha256 != expected.sha256:
            raise ConfigError(f"{source}: {name} is damaged; nothing was restored; take another backup")
        _restore_metadata(path, expected)
        done += expected.size
        progress(done, manifest.size)


def _restore_metadata(path: Path, expected: FileEntry) -> None:
    path.chmod(_MODE)
    os.utime(path, ns=(expected.mtime_ns, expected.mtime_ns))


def _put_in_place(home: Path) -> None:
    whole, replaced = home / VERIFIED, home / _REPLACED
    shutil.rmtree(whole, ignore_errors=True)  # left by a killed restore
    (home / UNREAD).rename(whole)
    shutil.rmtree(replaced, ignore_errors=True)
    replaced.mkdir()
    for name in (*TOP_LEVEL, *_DISCARDED):
        if (home / name).exists():
            (home / name).rename(replaced / name)
    for path in sorted(whole.iterdir()):
        path.rename(home / path.name)
    whole.rmdir()
    shutil.rmtree(replaced)


def _refuse_running(settings: Settings) -> None:
    supervisor = Supervisor(settings)
    if supervisor.alive() or supervisor.processes():
        raise ConfigError(f"a system uses {settings.home} or its ports; stop it with `driftloop down`")


def _refuse_newer(manifest: Manifest, source: Path) -> None:
    unknown = unknown_revisions(name for revisions in manifest.revisions.values() for name in revisions)
    if version_number(manifest.driftloop) > version_number(__version__) or unknown:
        why = f"schema {', '.join(unknown)}" if unknown else f"version {manifest.driftloop}"
        raise ConfigError(
            f"{source} was taken by a newer driftloop ({why}; this is {__version__}): restore it with that version"
        )


def _refuse_foreign_files(manifest: Manifest, source: Path) -> None:
    """Refuse files that no backup contains: a home has files that programs run, and that say what may be done."""
    foreign = next((name for name in manifest.files if not is_state(name) and not is_rendered(name)), "")
    if foreign:
        raise ConfigError(f"{source}: {foreign} is not part of a backup; nothing was restored; take another backup")


def _refuse_nonempty(home: Path, force: bool) -> None:
    if force:
        return
    existing = [name for name in (*TOP_LEVEL, VERIFIED) if (home / name).exists()]
    if existing:
        raise ConfigError(f"{home} is not empty: it has {', '.join(existing)}; --force replaces them")


def _refuse_without_room(home: Path, manifest: Manifest) -> None:
    free = shutil.disk_usage(home).free
    if manifest.size > free:
        raise ConfigError(f"{home} needs {manifest.size >> 20:,} MiB, and its disk has {free >> 20:,} MiB left")
