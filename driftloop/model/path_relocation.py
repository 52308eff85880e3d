"""Where a home's files stood before: events name bundles and tables by the paths that they had when they were written.

A home that was restored elsewhere lists the homes that its events know; a path below one of them is read below the
current home, whether the former one still exists or not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from driftloop.model.bundle import local_path

FILE = "former-homes.json"

PathResolver = Callable[[str], Path]
"""From a URI or path in an event to the file or folder of today; raises BundleError where it is not on this machine."""


def path_resolver(home: Path) -> PathResolver:
    """Locates what events of a home name; the list is read once."""
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
    """Homes that a home's events may name."""
    path = home / FILE
    return tuple(Path(each) for each in json.loads(path.read_text())) if path.exists() else ()


def record_relocation(home: Path, more: Iterable[str]) -> None:
    """Add homes to the list of a home."""
    found = dict.fromkeys([*map(str, relocated_homes(home)), *more])
    (home / FILE).write_text(json.dumps(list(found), indent=1))
