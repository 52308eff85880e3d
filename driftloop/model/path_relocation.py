"""Maps old paths to current ones: events store the paths of bundles and tables as they were when written.

A home restored to another folder lists its former folders. A path below a former folder is read below the current home,
whether the former folder still exists or not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from driftloop.model.bundle import MANIFEST, local_path
from driftloop.process.errors import BundleError
from driftloop.process.object_store import OBJECT_CACHE, ObjectError, download_file, download_folder

FILE = "former-homes.json"

PathResolver = Callable[[str], Path]
"""Returns the current path of a URI or path in an event, or of a local copy of what is in a bucket.

Raises BundleError if it is neither on this machine nor in a bucket, and Retriable if the bucket does not answer.
"""


def path_resolver(home: Path, store_url: str = "") -> PathResolver:
    """Return a resolver for paths in a home's events; it reads the list of former folders once.

    ``store_url``: the folder in a bucket that may be read; an event that names another one is refused.
    """
    former = relocated_homes(home)
    current = home.resolve()
    objects = home / OBJECT_CACHE

    def resolve_path(uri: str) -> Path:
        if store_url and uri.startswith(f"{store_url}/"):
            return _download(uri, objects)
        path = local_path(uri)
        if path.is_relative_to(current) or path.is_relative_to(home):
            return path
        for folder in former:
            if path.is_relative_to(folder):
                return current / path.relative_to(folder)
        return path

    return resolve_path


def _download(url: str, cache_folder: Path) -> Path:
    """Return the local copy of a bundle, or of a file whose name is its digest and a suffix."""
    try:
        if PurePosixPath(url).suffix:
            return download_file(url, cache_folder)
        return download_folder(url, cache_folder, last=MANIFEST)
    except ObjectError as error:
        raise BundleError(str(error)) from error


def relocated_homes(home: Path) -> tuple[Path, ...]:
    """Return the former folders of a home."""
    path = home / FILE
    return tuple(Path(folder) for folder in json.loads(path.read_text())) if path.exists() else ()


def record_relocation(home: Path, folders: Iterable[str]) -> None:
    """Add former folders to a home's list."""
    distinct = dict.fromkeys([*map(str, relocated_homes(home)), *folders])
    (home / FILE).write_text(json.dumps(list(distinct), indent=1))
