"""Maps old paths to current ones: events store the paths of bundles and tables as they were when written.

A home restored to another folder lists its former folders. A path below a former folder is read below the current home,
whether the former folder still exists or not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from driftloop.model.bundle import local_path

FILE = "former-homes.json"

PathResolver = Callable[[str], Path]
"""Returns the current path of a URI or path in an event; raises BundleError if it is not on this machine."""


def path_resolver(home: Path) -> PathResolver:
    """Return a resolver for paths in a home's events; it reads the list once."""
    former = relocated_homes(home)
    now = home.resolve()

    def resolve_path(uri: str) -> Path:
        path = local_path(uri)
        if path.is_relative_to(now) or path.is_relative_to(home):
            return path
        for each in former:
            if path.is_relative_to(each):
                return now / path.relative_to(each)
        return path

    return resolve_path


def relocated_homes(home: Path) -> tuple[Path, ...]:
    """Return the former folders of a home."""
    path = home / FILE
    return tuple(Path(each) for each in json.loads(path.read_text())) if path.exists() else ()


def record_relocation(home: Path, more: Iterable[str]) -> None:
    """Add former folders to a home's list."""
    found = dict.fromkeys([*map(str, relocated_homes(home)), *more])
    (home / FILE).write_text(json.dumps(list(found), indent=1))
