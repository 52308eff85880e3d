"""Reads a manifest's metadata from the files of a home."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from driftloop.featurestore.feast_keys import WATERMARKS
from driftloop.model.path_relocation import relocated_homes
from driftloop.ops.backup.manifest import LoopEntry
from driftloop.process.settings import ROOT, Settings
from driftloop.runner.migrate import TABLE

_BUSY_S = 10.0


def known_homes(home: Path) -> tuple[str, ...]:
    """Return the current and the earlier paths of a home, by which events may refer to its files."""
    return tuple(dict.fromkeys([str(home.absolute()), str(home.resolve()), *map(str, relocated_homes(home))]))


def read_loops(settings: Settings) -> dict[str, LoopEntry]:
    """Return watermark and champion of each loop that has features or a route."""
    query = f"SELECT loop, min(watermark_ms) FROM {WATERMARKS} GROUP BY 1"  # noqa: S608 - a constant
    marks = dict(_rows(settings.online_db, WATERMARKS, query))
    routes = {
        path.stem: json.loads(path.read_bytes())
        for path in sorted((settings.triton / "routes").glob("*.json"))
        if not path.stem.endswith(".status")
    }
    return {
        loop: LoopEntry(
            watermark_ms=marks.get(loop),
            champion=routes[loop]["champion"]["release_id"] if loop in routes else "",
            epoch=routes[loop]["epoch"] if loop in routes else 0,
        )
        for loop in sorted({*marks, *routes})
    }


def read_revisions(home: Path) -> dict[str, tuple[str, ...]]:
    """Return the newest schema revisions of each service database, by file name."""
    return {
        path.name: tuple(sorted(str(name) for (name,) in _rows(path, TABLE, f"SELECT version_num FROM {TABLE}")))  # noqa: S608 - a constant
        for path in sorted((home / "state").glob("*.db"))
    }


def unknown_revisions(names: Iterable[str]) -> list[str]:
    """Return revisions that this version does not have."""
    files = [*ROOT.glob("driftloop/**/revisions/*.py"), *ROOT.glob("services/**/revisions/*.py")]
    return sorted(set(names) - {path.stem for path in files})


def _rows(path: Path, table: str, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query; empty if the database has no such table."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=_BUSY_S)) as connection:
        table_exists = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        return connection.execute(query).fetchall() if table_exists else []
