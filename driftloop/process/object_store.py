"""Folders and files in an S3 bucket.

The clients read the address and the credentials from AWS's own variables: `AWS_ENDPOINT_URL`, `AWS_REGION`,
`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, and `AWS_ALLOW_HTTP` for a server without TLS.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from driftloop.process.atomic_file import replace_file
from driftloop.process.errors import ConfigError, DriftloopError, Retriable

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

SCHEME = "s3://"
_PATIENCE = timedelta(seconds=30)
OBJECT_CACHE = "cache/objects"
"""Folder of local copies, below the home."""


class ObjectError(DriftloopError):
    """An object is missing, or its content is not what its name says."""


@dataclass(frozen=True, slots=True)
class RemoteFolder:
    """A folder in a bucket, such as ``s3://bucket/driftloop``. Joined with ``/`` like a path."""

    url: str

    def __truediv__(self, name: str) -> RemoteFolder:
        return RemoteFolder(f"{self.url}/{name}")

    def __str__(self) -> str:
        return self.url

    def exists(self) -> bool:
        """Return whether the folder has an object.

        Raises:
            Retriable: the server did not answer.
        """
        store, prefix = _open(self.url)
        with _translated(self.url):
            return any(len(page) for page in store.list(prefix + "/", chunk_size=1))


Folder = Path | RemoteFolder
"""A folder on this machine, or in a bucket."""


def folder_of(url: str) -> tuple[Folder, str]:
    """Return the folder and the name of a file, from its path or URL."""
    folder, _, name = url.rpartition("/")
    return (RemoteFolder(folder) if folder.startswith(SCHEME) else Path(folder)), name


def write_file(folder: Folder, name: str, content: bytes) -> None:
    """Store a file, or replace the one with that name. A reader sees the former content or the new one.

    Raises:
        Retriable: the server did not answer.
    """
    if isinstance(folder, Path):
        replace_file(folder / name, content)
        return
    store, key = _open(f"{folder}/{name}")
    with _translated(f"{folder}/{name}"):
        store.put(key, content)


def read_file(folder: Folder, name: str) -> bytes | None:
    """Return a file's content, or None if there is no such file.

    Raises:
        Retriable: the server did not answer.
    """
    try:
        return (folder / name).read_bytes() if isinstance(folder, Path) else _get(f"{folder}/{name}")
    except (FileNotFoundError, ObjectError):
        return None


def upload_file(path: Path, folder: RemoteFolder, suffix: str) -> str:
    """Store a file under its sha256, unless it is there; return its URL.

    Raises:
        Retriable: the server did not answer.
    """
    digest = _sha256(path)
    url = f"{folder}/{digest}{suffix}"
    _put_if_absent(url, path)
    return url


def upload_folder(path: Path, names: Sequence[str], folder: RemoteFolder) -> str:
    """Store files of a folder in the order of their names; return the URL.

    A file that is there already is not replaced: the URL must identify the content.

    Raises:
        Retriable: the server did not answer.
    """
    for name in names:
        _put_if_absent(f"{folder}/{name}", path / name)
    return str(folder)


def locate_shared(shared: Folder, name: str, cache_folder: Path) -> Path:
    """Return the local path of a file below the shared folder. One that is in a bucket has its sha256 as its name.

    Raises: see `download_file`.
    """
    return shared / name if isinstance(shared, Path) else download_file(f"{shared}/{name}", cache_folder)


def download_file(url: str, cache_folder: Path) -> Path:
    """Return the local copy of a file that is stored under its sha256. It is downloaded once.

    Raises:
        ObjectError: there is no such object, or its content has another digest.
        Retriable: the server did not answer.
    """
    name = url.rsplit("/", 1)[1]
    target = cache_folder / name
    if not target.exists():
        content = _get(url)
        if hashlib.sha256(content).hexdigest() != name.split(".")[0]:
            raise ObjectError(f"{url}: the content is not what the name says; {len(content)} bytes")
        with _scratch_folder(cache_folder) as partial:
            (partial / name).write_bytes(content)
            (partial / name).replace(target)
    return target


def download_folder(url: str, cache_folder: Path, last: str) -> Path:
    """Return the local copy of a folder that has the file ``last``. It is downloaded once, whole or not at all.

    Raises:
        ObjectError: there is no such folder.
        Retriable: the server did not answer.
    """
    target = cache_folder / hashlib.sha256(url.encode()).hexdigest()
    if (target / last).exists():
        return target
    store, prefix = _open(url)
    with _translated(url):
        names = [item["path"].rsplit("/", 1)[1] for page in store.list(prefix + "/") for item in page]
    if last not in names:
        raise ObjectError(f"{url} has no {last}")
    with _scratch_folder(cache_folder) as partial:
        folder = partial / "folder"
        folder.mkdir()
        for name in names:
            (folder / name).write_bytes(_get(f"{url}/{name}"))
        try:
            folder.rename(target)
        except OSError:  # another process was first
            if not (target / last).exists():
                raise
    return target


def require_conditional_puts(folder: Folder) -> None:
    """Return if the server of a bucket refuses to replace an object that must be new.

    Two writers of a Delta table rely on it: a server that replaces the object loses the commit of one of them.

    Raises:
        ConfigError: it replaces the object, or refuses the credentials.
        Retriable: it did not answer.
    """
    if isinstance(folder, Path):
        return
    from obstore.exceptions import AlreadyExistsError  # only a deployment with a bucket needs it

    url = f"{folder}/conditional-put-{uuid.uuid4().hex}"
    store, key = _open(url)
    with _translated(url):
        store.put(key, b"first", mode="create")
        try:
            store.put(key, b"second", mode="create")
        except AlreadyExistsError:
            return
        finally:
            store.delete(key)
    raise ConfigError(
        f"the server of {folder} ignores `If-None-Match`, so writers at the same time would lose rows; use another one"
    )


def _put_if_absent(url: str, path: Path) -> None:
    from obstore.exceptions import AlreadyExistsError

    store, key = _open(url)
    with _translated(url):
        try:
            store.put(key, path, mode="create")
        except AlreadyExistsError:
            return


def _get(url: str) -> bytes:
    store, key = _open(url)
    with _translated(url):
        return bytes(store.get(key).bytes())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open(url: str) -> tuple[ObjectStore, str]:
    """Return the bucket's client, and the key in it."""
    bucket, _, key = url.removeprefix(SCHEME).partition("/")
    return _bucket(bucket), key


@cache
def _bucket(name: str) -> ObjectStore:
    from obstore.store import from_url  # only a deployment with a bucket needs it

    client: ClientConfig = {"timeout": _PATIENCE, "allow_http": os.environ.get("AWS_ALLOW_HTTP", "false") == "true"}
    retries: RetryConfig = {"max_retries": 3, "retry_timeout": _PATIENCE}
    return from_url(f"{SCHEME}{name}", client_options=client, retry_config=retries)


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Turn the library's errors into the project's.

    Raises:
        ObjectError: there is no such object.
        ConfigError: the server refuses the credentials, or the bucket's name.
        Retriable: any other error.
    """
    from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError

    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise ObjectError(f"{url}: there is no such object") from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise ConfigError(f"{url}: the server refuses the credentials; check AWS_ACCESS_KEY_ID") from error
    except BaseError as error:
        raise Retriable(f"{url}: {str(error).splitlines()[0]}") from error


@contextmanager
def _scratch_folder(beside: Path) -> Iterator[Path]:
    """Yield a folder on the same file system, and delete what is left in it."""
    beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=beside) as name:
        yield Path(name)
