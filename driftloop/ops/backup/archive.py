"""The two forms of a backup, a folder and a tar file: written under another name, and renamed when complete."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import stat
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
_MOST_MANIFEST = 1 << 28
_TAR_ERRORS = (tarfile.TarError, ValueError, OverflowError, EOFError)
"""What `tarfile` raises for damaged headers."""


class Source(Protocol):
    """A file to read."""

    def read(self, size: int = -1, /) -> bytes: ...


class SizedReader:
    """The first ``size`` bytes of a file, with a digest of what was read."""

    def __init__(self, source: Source, size: int) -> None:
        self._source, self.size, self._left = source, size, size
        self._digest = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        self._digest.update(data)
        return data

    @property
    def missing(self) -> int:
        return self._left

    @property
    def sha256(self) -> str:
        """Return the digest of what was read, hex."""
        return self._digest.hexdigest()


def copy(source: Source, target: IO[bytes]) -> None:
    """Copy to the end."""
    while data := source.read(_CHUNK):
        target.write(data)


class Writer(ABC):
    """Writes a backup."""

    @abstractmethod
    def add(self, name: str, source: SizedReader, mtime_ns: int, mode: int) -> None:
        """Add a file. If the source has fewer bytes than its size, the caller notices and stops."""

    @abstractmethod
    def finish(self) -> None:
        """Write everything to disk."""

    @abstractmethod
    def close(self) -> None:
        """Close the files, finished or not."""


class _Folder(Writer):
    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True)
        self._path = path

    def add(self, name: str, source: SizedReader, mtime_ns: int, mode: int) -> None:
        path = self._path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            copy(source, file)
        path.chmod(mode & 0o700)  # an earlier version left files open to other accounts
        os.utime(path, ns=(mtime_ns, mtime_ns))

    def finish(self) -> None:
        for path in self._path.rglob("*"):
            _sync(path)

    def close(self) -> None:
        pass


class _Tar(Writer):
    def __init__(self, path: Path) -> None:
        self._path = path
        self._tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed by `close`

    def add(self, name: str, source: SizedReader, mtime_ns: int, mode: int) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mtime, member.mode = source.size, mtime_ns // 1_000_000_000, mode
        try:
            self._tar.addfile(member, source)
        except OSError as error:
            if error.errno is not None:  # an error of the disk; tarfile's own errors mean that the source ended
                raise

    def finish(self) -> None:
        self._tar.close()
        _sync(self._path)

    def close(self) -> None:
        self._tar.close()


@contextmanager
def writing(target: Path) -> Iterator[Writer]:
    """Write a backup to a new path. It appears there when the block completes; otherwise nothing remains.

    Raises:
        ConfigError: the path exists, or cannot be used.
    """
    unfinished = target.with_name(target.name + _UNFINISHED)
    if target.exists():
        raise ConfigError(f"{target} exists already; give another name, or remove it")
    _remove(unfinished)  # left by a killed backup
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        writer = _Tar(unfinished) if target.suffix == TAR else _Folder(unfinished)
    except OSError as error:
        raise ConfigError(f"cannot write {target}: {error.strerror}") from error
    try:
        try:
            yield writer
            writer.finish()
        finally:
            writer.close()
        unfinished.rename(target)
        _sync(target.parent)
    finally:
        _remove(unfinished)


class Reader(Protocol):
    """Reads a backup."""

    def manifest(self) -> bytes:
        """Return the content of its manifest.

        Raises:
            ConfigError: it has no manifest.
        """
        ...

    def open(self, name: str) -> IO[bytes]:
        """Open a file of it.

        Raises:
            ConfigError: the file is missing.
        """
        ...


class _FolderReader:
    def __init__(self, path: Path) -> None:
        self._path = path

    def manifest(self) -> bytes:
        if not (self._path / NAME).is_file():
            raise _incomplete(self._path)
        with self.open(NAME) as file:
            return file.read(_MOST_MANIFEST)

    def open(self, name: str) -> IO[bytes]:
        try:
            return _open_plain(self._path.resolve() / name)
        except (OSError, ValueError) as error:
            raise _missing(self._path, name) from error


class _TarReader:
    def __init__(self, path: Path, tar: tarfile.TarFile) -> None:
        self._path, self._tar = path, tar
        self._members: dict[str, tarfile.TarInfo] = {}

    def manifest(self) -> bytes:
        try:
            self._members = {member.name: member for member in self._tar.getmembers() if member.isreg()}
        except _TAR_ERRORS as error:
            raise _incomplete(self._path) from error
        if NAME not in self._members:
            raise _incomplete(self._path)
        return self.open(NAME).read(_MOST_MANIFEST)

    def open(self, name: str) -> IO[bytes]:
        file = self._tar.extractfile(self._members[name]) if name in self._members else None
        if file is None:
            raise _missing(self._path, name)
        return file


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """Open a backup.

    Raises:
        ConfigError: the path has no backup.
    """
    if path.is_dir():
        yield _FolderReader(path)
        return
    if not path.exists():
        raise ConfigError(f"{path} does not exist")
    try:
        tar = tarfile.open(fileobj=_open_plain(path.resolve()), mode="r:")  # noqa: SIM115 - closed below
    except (*_TAR_ERRORS, OSError) as error:
        raise ConfigError(f"{path} is not a backup: it is neither a folder nor a tar file") from error
    with tar:
        yield _TarReader(path, tar)


def file_entry(source: SizedReader, mtime_ns: int, mode: int) -> FileEntry:
    """Return the manifest's entry for a file that was read."""
    return FileEntry(sha256=source.sha256, size=source.size, mtime_ns=mtime_ns, mode=mode)


def add_bytes(writer: Writer, name: str, content: bytes, wall_ms: int) -> None:
    """Add a file from memory."""
    writer.add(name, SizedReader(io.BytesIO(content), len(content)), wall_ms * 1_000_000, 0o644)


def _open_plain(path: Path) -> IO[bytes]:
    """Open a regular file that no link leads to, without waiting for the other end of a pipe.

    Raises:
        OSError: it is a link or not a regular file.
    """
    if path.resolve(strict=True) != path:
        raise OSError(errno.ELOOP, "a link")
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "no plain file")
    return file


def _missing(path: Path, name: str) -> ConfigError:
    return ConfigError(f"{path}: {name} is missing or no plain file; take another backup")


def _incomplete(path: Path) -> ConfigError:
    return ConfigError(f"{path} is not a complete backup: it has no {NAME}, which is written last; take another backup")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
