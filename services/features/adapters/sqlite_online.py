"""Writes Feast's SQLite online store without Feast, which costs 20 us a value.

The connection uses WAL with ``synchronous=NORMAL``: a commit does not wait for the disk. A killed process loses
nothing; a power cut loses at most the newest commits, never the file. `services.features.refill` restores them from the
offline views.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from driftloop.featurestore.feast_keys import WATERMARKS, WATERMARKS_DDL, sqlite_table
from driftloop.process.sql_names import quote_name
from services.features.adapters.packing import KeyCache, packed
from services.features.domain.engine import Advance, FeatureRows
from services.features.domain.views import ViewSpec

_CHECKPOINT_PAGES = 8_000


class SqliteOnline:
    """See `services.features.ports.OnlineStore`. Feast must have made the tables (``apply``)."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", f"wal_autocheckpoint={_CHECKPOINT_PAGES}"):
            self._connection.execute(f"PRAGMA {pragma}").close()
        self._connection.execute(WATERMARKS_DDL).close()
        self._keys = KeyCache()
        self._right: dict[str, dict[str, int]] = {}

    def write(self, loop: str, views: Sequence[ViewSpec], advance: Advance) -> int:
        right = self._known(loop)
        behind = [view.view for view in views if right.get(view.view, -1) < advance.watermark_ms]
        if not behind:
            return 0
        written = 0
        self._connection.execute("BEGIN IMMEDIATE").close()
        try:
            for rows in advance.views:
                if rows.spec.view in behind:
                    written += self._upsert(rows)
            marks = [(loop, view, advance.watermark_ms) for view in behind]
            self._connection.executemany(_WATERMARK, marks).close()
        except BaseException:
            self._connection.execute("ROLLBACK").close()
            raise
        self._connection.execute("COMMIT").close()
        right.update(dict.fromkeys(behind, advance.watermark_ms))
        return written

    def watermarks(self, loop: str) -> Mapping[str, int]:
        return dict(self._known(loop))

    def check(self) -> None:
        """Do nothing: a file loses nothing while the process that writes it runs."""

    def close(self) -> None:
        self._connection.close()

    def _known(self, loop: str) -> dict[str, int]:
        if loop not in self._right:
            query = f"SELECT view, watermark_ms FROM {WATERMARKS} WHERE loop = ?"  # noqa: S608  # a constant
            self._right[loop] = dict(self._connection.execute(query, (loop,)).fetchall())
        return self._right[loop]

    def _upsert(self, rows: FeatureRows) -> int:
        """Upsert with one statement per entity, at half the cost of one per value; its values share a page."""
        seconds = rows.watermark_ms // 1000  # Feast reads whole seconds from event_ts
        keys = self._keys.serialized(rows.spec.feed.join_keys, rows.keys)
        values = zip(*map(packed, rows.columns), strict=True)
        entities = [(key, seconds, rows.watermark_ms, *row) for key, row in zip(keys, values, strict=True)]
        self._connection.executemany(_upsert_sql(sqlite_table(rows.spec.view), rows.spec.features), entities).close()
        return len(entities)


@cache
def _upsert_sql(table: str, features: tuple[str, ...]) -> str:
    """Parameters: entity key, event time in seconds and in milliseconds, then the value of each feature."""
    values = ", ".join(f"(?1, {_text(name)}, ?{number}, ?2, ?3)" for number, name in enumerate(features, 4))
    return (
        f"INSERT INTO {quote_name(table)} (entity_key, feature_name, value, event_ts, created_ts) VALUES {values} "  # noqa: S608
        "ON CONFLICT (entity_key, feature_name) DO UPDATE SET value = excluded.value, event_ts = excluded.event_ts, "
        "created_ts = excluded.created_ts WHERE excluded.event_ts >= event_ts AND excluded.value IS NOT value"
    )


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


_WATERMARK = (
    f"INSERT INTO {WATERMARKS} (loop, view, watermark_ms) VALUES (?, ?, ?) "  # noqa: S608  # a constant
    "ON CONFLICT (loop, view) DO UPDATE SET watermark_ms = excluded.watermark_ms "
    "WHERE excluded.watermark_ms > watermark_ms"
)
