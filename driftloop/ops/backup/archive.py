"""The two forms of a backup, a folder and a tar file: written beside their place, and moved there when whole."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from driftloop.ops.backup.manifest import NAME, FileEntry
from driftloop.process.errors import ConfigError

TAR = ".tar"
_UNFINISHED = ".unfinished"
_CHUNK = 1 << 20


class Source(Protocol):
    """Bytes to be read."""

    def read(self, size: int = -1, /) -> bytes: ...


class Limited:
    """The first bytes of a file, digested as they are read."""

    def __init__(self, source: Source, size: int) -> None:
        self._source, self.size, self._left = source, size, size
        self._digest = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        """Like a file's."""
        data = self._source.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        self._digest.update(data)
        return data

    @property
    def missing(self) -> int:
        """Bytes not read yet."""
        return self._left

    @property
    def sha256(self) -> str:
        """Of what was read, hex."""
        return self._digest.hexdigest()


def copy(source: Source, target: IO[bytes]) -> None:
    """Copy to the end."""
    while data := source.read(_CHUNK):
        target.write(data)


class Writer(ABC):
    """A backup that is being made."""

    @abstractmethod
    def add(self, name: str, source: Limited, mtime_ns: int, mode: int) -> None:
        """Add a file. Where the source ends before its size, the caller notices and gives up."""

    @abstractmethod
    def finish(self) -> None:
        """Have everything on the disk."""

    @abstractmethod
    def close(self) -> None:
        """Let go of it, finished or not."""


class _Folder(Writer):
    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True)
        self._path = path

    def add(self, name: str, source: Limited, mtime_ns: int, mode: int) -> None:
        path = self._path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            copy(source, file)
        path.chmod(mode)
        os.utime(path, ns=(mtime_ns, mtime_ns))

    def finish(self) -> None:
        for path in self._path.rglob("*"):
            _to_disk(path)

    def close(self) -> None:
        pass


class _Tar(Writer):
    def __init__(self, path: Path) -> None:
        self._path = path
        self._tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed by `close`

    def add(self, name: str, source: Limited, mtime_ns: int, mode: int) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mtime, member.mode = source.size, mtime_ns // 1_000_000_000, mode
        try:
            self._tar.addfile(member, source)
        except OSError as error:
            if error.errno is not None:  # the disk's; the others say that the source ended
                raise

    def finish(self) -> None:
        self._tar.close()
        _to_disk(self._path)

    def close(self) -> None:
        self._tar.close()


@contextmanager
def writing(target: Path) -> Iterator[Writer]:
    """Make a backup at a place that is free. It appears there once the block is through; otherwise nothing stays.

    Raises:
        ConfigError: the path exists, or is not usable.
    """
    unfinished = target.with_name(target.name + _UNFINISHED)
    if target.exists():
        raise ConfigError(f"{target} is there already; give another name, or remove it")
    _remove(unfinished)  # of one that was killed
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        writer = _Tar(unfinished) if target.suffix == TAR else _Folder(unfinished)
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror}") from error
    try:
        try:
            yield writer
            writer.finish()
        finally:
            writer.close()
        unfinished.rename(target)
        _to_disk(target.parent)
    finally:
        _remove(unfinished)


class Reader(Protocol):
    """A backup."""

    def manifest(self) -> bytes:
        """What its manifest holds.

        Raises:
            ConfigError: there is none.
        """
        ...

    def open(self, name: str) -> IO[bytes]:
        """A file of it.

        Raises:
            ConfigError: it is not there.
        """
        ...


class _FolderReader:
    def __init__(self, path: Path) -> None:
        self._path = path

    def manifest(self) -> bytes:
        if not (self._path / NAME).is_file():
            raise _not_whole(self._path)
        return (self._path / NAME).read_bytes()

    def open(self, name: str) -> IO[bytes]:
        try:
            return (self._path / name).open("rb")
        except OSError as error:
            raise ConfigError(f"{self._path}: {name} is missing; take another backup") from error


class _TarReader:
    def __init__(self, path: Path, tar: tarfile.TarFile) -> None:
        self._path, self._tar = path, tar
        self._members: dict[str, tarfile.TarInfo] = {}

    def manifest(self) -> bytes:
        try:
            self._members = {each.name: each for each in self._tar.getmembers() if each.isreg()}
        except tarfile.TarError as error:
            raise _not_whole(self._path) from error
        if NAME not in self._members:
            raise _not_whole(self._path)
        return self.open(NAME).read()

    def open(self, name: str) -> IO[bytes]:
        found = self._tar.extractfile(self._members[name]) if name in self._members else None
        if found is None:
            raise ConfigError(f"{self._path}: {name} is missing; take another backup")
        return found


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """Open a backup.

    Raises:
        ConfigError: there is none at that place.
    """
    if path.is_dir():
        yield _FolderReader(path)
        return
    if not path.exists():
        raise ConfigError(f"there is no {path}")
    try:
        tar = tarfile.open(path, "r:")  # noqa: SIM115 - closed below
    except (tarfile.TarError, OSError) as error:
        raise ConfigError(f"{path} is no backup: neither a folder nor a tar file") from error
    with tar:
        yield _TarReader(path, tar)


def said(source: Limited, mtime_ns: int, mode: int) -> FileEntry:
    """What the manifest says about a file that was read."""
    return FileEntry(sha256=source.sha256, size=source.size, mtime_ns=mtime_ns, mode=mode)


def add_bytes(writer: Writer, name: str, content: bytes, wall_ms: int) -> None:
    """Add a file that stands nowhere."""
    writer.add(name, Limited(io.BytesIO(content), len(content)), wall_ms * 1_000_000, 0o644)


def _not_whole(path: Path) -> ConfigError:
    return ConfigError(f"{path} is no whole backup: it has no {NAME}, which is written last; take another backup")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
