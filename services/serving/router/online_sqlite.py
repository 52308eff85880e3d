"""Reads online features from Feast's SQLite tables without Feast: one query per view for all entities of a batch.

One short transaction reads a batch, so values and watermarks are consistent. Rows are cached until another connection
commits, which SQLite shows in ``data_version``, so a cached row is never older than the stored one.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from driftloop.featurestore.feast_keys import WATERMARKS, WRITTEN_MS, sqlite_table, unpack_value
from driftloop.process.sql_names import quote_name
from services.serving.router.online import ViewRequest, ViewRows

_DOUBLE = np.dtype([("tag", "u1"), ("value", "<f8")])
_DOUBLE_TAG = 0x29
_BUSY_S = 2.0
_MAX_CACHED_ROWS = 100_000
_MAX_PARAMETERS = 512

Row = tuple[bytes, str, bytes]
"""Entity key, feature name, value."""


@dataclass
class _CachedRows:
    numeric: dict[bytes, NDArray[np.float64]] = field(default_factory=dict)
    strings: dict[bytes, list[str]] = field(default_factory=dict)


class OnlineStore:
    """A read-only connection, opened on first use; use it from one thread."""

    def __init__(self, path: Path, loop: str) -> None:
        self._path = path
        self._loop = loop
        self._connection: sqlite3.Connection | None = None
        self._data_version = -1
        self._tables: frozenset[str] = frozenset()
        self._join_keys: dict[str, tuple[str, ...]] = {}
        self._cache: dict[tuple[str, tuple[str, ...], tuple[str, ...]], _CachedRows] = {}
        self._cached_rows = 0

    def join_keys(self, view: str) -> tuple[str, ...] | None:
        if view not in self._join_keys:
            with self._snapshot() as connection:
                table = sqlite_table(view)
                if connection is None or table not in self._tables:
                    return None
                row = connection.execute(f"SELECT entity_key FROM {quote_name(table)} LIMIT 1").fetchone()  # noqa: S608
            if row is None:
                return None
            self._join_keys[view] = key_names(row[0])
        return self._join_keys[view]

    def read(self, wanted: Mapping[str, ViewRequest]) -> dict[str, ViewRows]:
        """Return each view's rows, in the order of the requested keys.

        Raises:
            sqlite3.Error: the store cannot be read.
        """
        with self._snapshot() as connection:
            watermarks = {} if connection is None else self._watermarks(connection)
            return {
                view: self._view(connection, view, request, watermarks.get(view)) for view, request in wanted.items()
            }

    def written_ms(self, view: str, entity_keys: Sequence[bytes]) -> NDArray[np.int64]:
        """Return the time (ms) at which each entity's row became available, int64 [k], or -1 without a row."""
        times_ms: dict[bytes, int] = {}
        with self._snapshot() as connection:
            if connection is not None and sqlite_table(view) in self._tables:
                for chunk in _chunks(entity_keys):
                    sql = f"SELECT entity_key, max({WRITTEN_MS}) FROM {quote_name(sqlite_table(view))} WHERE entity_key IN ({_placeholders(chunk)}) GROUP BY 1"  # noqa: E501, S608
                    times_ms.update(connection.execute(sql, chunk).fetchall())
        return np.array([times_ms.get(key, -1) for key in entity_keys], dtype=np.int64)

    def watermarks(self) -> dict[str, int]:
        """Return the watermark (ms) of each view of the loop."""
        with self._snapshot() as connection:
            return {} if connection is None else self._watermarks(connection)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection | None]:
        """Open a read transaction; yield None if there is no store yet."""
        connection = self._open()
        if connection is None:
            yield None
            return
        connection.execute("BEGIN")
        try:
            # the first read starts the snapshot; only after it does data_version describe the snapshot
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
            (version,) = connection.execute("PRAGMA data_version").fetchone()
            if version != self._data_version:
                self._reset_cache(connection, version)
            yield connection
        finally:
            connection.execute("COMMIT")

    def _open(self) -> sqlite3.Connection | None:
        if self._connection is None and self._path.exists():
            self._connection = sqlite3.connect(
                f"file:{self._path}?mode=ro", uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
        return self._connection

    def _reset_cache(self, connection: sqlite3.Connection, version: int) -> None:
        self._cache.clear()
        self._cached_rows = 0
        self._data_version = version
        with closing(connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")) as cursor:
            self._tables = frozenset(name for (name,) in cursor)

    def _watermarks(self, connection: sqlite3.Connection) -> dict[str, int]:
        if WATERMARKS not in self._tables:
            return {}
        sql = f"SELECT view, watermark_ms FROM {WATERMARKS} WHERE loop = ?"  # noqa: S608
        return dict(connection.execute(sql, (self._loop,)).fetchall())

    def _view(
        self, connection: sqlite3.Connection | None, view: str, request: ViewRequest, watermark_ms: int | None
    ) -> ViewRows:
        cache = self._cache.setdefault((view, request.numeric, request.strings), _CachedRows())
        absent = [key for key in request.entity_keys if key not in cache.numeric]
        if absent:
            self._read_rows(connection, view, request, absent, cache)
        numeric = np.empty((len(request.entity_keys), len(request.numeric)))
        if request.numeric:
            numeric[:] = [cache.numeric[key] for key in request.entity_keys]
        strings = np.empty((len(request.entity_keys), len(request.strings)), dtype=np.object_)
        if request.strings:
            strings[:] = [cache.strings[key] for key in request.entity_keys]
        return ViewRows(watermark_ms, numeric, strings)

    def _read_rows(
        self,
        connection: sqlite3.Connection | None,
        view: str,
        request: ViewRequest,
        keys: Sequence[bytes],
        cache: _CachedRows,
    ) -> None:
        if self._cached_rows + len(keys) > _MAX_CACHED_ROWS:
            for cached in self._cache.values():
                cached.numeric.clear()
                cached.strings.clear()
            self._cached_rows = 0
            keys = request.entity_keys
        rows: list[Row] = []
        if connection is not None and sqlite_table(view) in self._tables:
            for chunk in _chunks(keys):
                sql = f"SELECT entity_key, feature_name, value FROM {quote_name(sqlite_table(view))} WHERE entity_key IN ({_placeholders(chunk)}) ORDER BY 1, 2"  # noqa: E501, S608
                rows += connection.execute(sql, chunk).fetchall()
        index = {key: row for row, key in enumerate(keys)}
        cache.numeric.update(zip(keys, _numeric(rows, index, request.numeric), strict=True))
        if request.strings:
            cache.strings.update(zip(keys, _strings(rows, index, request.strings), strict=True))
        self._cached_rows += len(keys)


def key_names(entity_key: bytes) -> tuple[str, ...]:
    """Return the join key names in a serialised entity key, in its order (see `driftloop.featurestore.feast_keys`)."""
    (count,) = struct.unpack_from("<I", entity_key, 0)
    names = []
    offset = 4
    for _ in range(count):
        (length,) = struct.unpack_from("<I", entity_key, offset + 4)
        names.append(entity_key[offset + 8 : offset + 8 + length].decode())
        offset += 8 + length
    return tuple(names)


def _chunks(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Split keys into parts padded to powers of two with repeats, so few SQL statements exist and stay prepared."""
    for start in range(0, len(keys), _MAX_PARAMETERS):
        chunk = list(keys[start : start + _MAX_PARAMETERS])
        length = 1 << (len(chunk) - 1).bit_length()
        yield chunk + [chunk[-1]] * (length - len(chunk))


def _placeholders(chunk: Sequence[bytes]) -> str:
    return ("?," * len(chunk))[:-1]


def _numeric(rows: Sequence[Row], index: Mapping[bytes, int], features: tuple[str, ...]) -> NDArray[np.float64]:
    """Return float64 [keys, features] from a view's rows, sorted by key and feature."""
    matrix = _complete_rows(rows, index, features) if features else None
    return _sparse_rows(rows, index, features) if matrix is None else matrix


def _complete_rows(
    rows: Sequence[Row], index: Mapping[bytes, int], features: tuple[str, ...]
) -> NDArray[np.float64] | None:
    """Handle the usual case without a loop over rows: each key has exactly these features, with no value missing."""
    width = len(features)
    if not rows or len(rows) % width:
        return None
    keys, names, values = zip(*rows, strict=True)
    order = tuple(sorted(features))
    if names != order * (len(rows) // width) or keys[::width] != keys[width - 1 :: width] or not all(values):
        return None
    matrix = np.full((len(index), width), np.nan)
    columns = [order.index(feature) for feature in features]
    matrix[[index[key] for key in keys[::width]]] = _unpack_doubles(values).reshape(-1, width)[:, columns]
    return matrix


def _sparse_rows(rows: Sequence[Row], index: Mapping[bytes, int], features: tuple[str, ...]) -> NDArray[np.float64]:
    """Handle any case, row by row."""
    column = {feature: position for position, feature in enumerate(features)}
    width = len(features)
    cells = {index[key] * width + column[name]: value for key, name, value in rows if value and name in column}
    matrix = np.full(len(index) * width, np.nan)
    if cells:
        matrix[list(cells)] = _unpack_doubles(list(cells.values()))
    return matrix.reshape(len(index), width)


def _unpack_doubles(values: Sequence[bytes]) -> NDArray[np.float64]:
    packed = b"".join(values)
    if len(packed) == len(values) * _DOUBLE.itemsize:
        doubles = np.frombuffer(packed, dtype=_DOUBLE)
        if bool((doubles["tag"] == _DOUBLE_TAG).all()):
            return doubles["value"].astype(np.float64)
    raise sqlite3.DataError("the value of a numeric feature is not a double")


def _strings(rows: Sequence[Row], index: Mapping[bytes, int], features: tuple[str, ...]) -> list[list[str]]:
    column = {feature: position for position, feature in enumerate(features)}
    texts = [[""] * len(features) for _ in index]
    for key, name, value in rows:
        if name in column:
            unpacked = unpack_value(value)
            texts[index[key]][column[name]] = "" if unpacked is None else str(unpacked)
    return texts
