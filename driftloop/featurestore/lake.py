"""Delta tables with app transactions, so that a repeated append adds nothing.

deltalake records application transactions but does not skip repeats. So `append_missing` chooses the rows and commits
them on one snapshot of the table. If another writer of the same application commits in between, the commit fails, and
the rows are chosen again. So a process that was paused and wakes up after another one took over stores no row twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Literal

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from driftloop.process.errors import DriftloopError
from driftloop.process.object_store import Folder

_ATTEMPTS = 5
_CONFIGURATION = {"delta.checkpointInterval": "100"}

Recorded = Callable[[str], int]
"""Returns the version that an application recorded last, or -1 if it has none."""


class LakeTable:
    """An open handle on one Delta table. Opening it again by path would read the whole log."""

    def __init__(self, path: Folder) -> None:
        self.path = path
        self._delta: DeltaTable | None = None

    def exists(self) -> bool:
        return self._open() is not None

    def version(self) -> int:
        """Return the newest version, or -1 if there is no table."""
        delta = self._open()
        return -1 if delta is None else delta.version()

    def transaction_version(self, app_id: str) -> int:
        """Return the version that an application recorded last, or -1 if it has none."""
        return _recorded(self._open(), app_id)

    def append(self, rows: pa.Table, transactions: Mapping[str, int]) -> int:
        """Append all rows, unless no application's version is newer than the recorded one; see `append_missing`."""
        return self.append_missing(lambda _: rows, transactions)

    def append_missing(self, rows_of: Callable[[Recorded], pa.Table | None], transactions: Mapping[str, int]) -> int:
        """Append rows and record each application's version, in one commit; return the table's version.

        ``rows_of`` returns the rows that are missing, given what the applications recorded in the snapshot on which the
        commit is made. It is called again if another writer commits first. Nothing is committed if it returns None, or
        if no version is newer than the recorded one. A column that the table lacks is added to it; its older rows have
        null there.

        Raises:
            CommitFailedError: other writers committed first five times in a row.
            DriftloopError: the table has a column with another type.
        """
        lost = 0
        while True:
            delta = self._open()
            recorded = partial(_recorded, delta)
            newer = {app: version for app, version in transactions.items() if version > recorded(app)}
            rows = rows_of(recorded) if newer or not transactions else None
            if rows is None:
                return -1 if delta is None else delta.version()
            if delta is None:  # choose the rows again on the new table: another writer may have appended to it already
                self._create(rows.schema)
                continue
            try:
                return self._commit(delta, rows, newer)
            except CommitFailedError:
                lost += 1
                if lost == _ATTEMPTS:
                    raise
                self._delta = None

    def conflicts(self, schema: pa.Schema) -> dict[str, str]:
        """Return the columns of the table whose type is another one in a schema, and what differs."""
        delta = self._open()
        return {} if delta is None else schema_conflicts(delta, schema)

    def columns(self) -> list[str]:
        """Return the columns of the newest version; empty if there is no table."""
        delta = self._open()
        return [] if delta is None else [field.name for field in delta.schema().fields]

    def read(self, version: int | None = None) -> pa.Table:
        """Return all rows of a version, by default the newest.

        Raises:
            TableNotFoundError: there is no table.
        """
        return DeltaTable(str(self.path), version=version).to_pyarrow_table()

    def _commit(self, delta: DeltaTable, rows: pa.Table, transactions: Mapping[str, int]) -> int:
        if problems := schema_conflicts(delta, rows.schema):
            raise DriftloopError(f"{self.path}: {'; '.join(problems.values())}")
        fields = {field.name for field in delta.schema().fields}
        mode: Literal["merge"] | None = "merge" if fields != set(rows.schema.names) else None
        write_deltalake(delta, rows, mode="append", schema_mode=mode, commit_properties=_properties(transactions))
        return delta.version()

    def _create(self, schema: pa.Schema) -> None:
        """Create the table without rows. If two processes race, one creates it, and both then append as usual."""
        if isinstance(self.path, Path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            DeltaTable.create(str(self.path), schema, mode="error", configuration=_CONFIGURATION)
        except DeltaError:
            if not self.exists():
                raise

    def _open(self) -> DeltaTable | None:
        if self._delta is None:
            try:
                self._delta = DeltaTable(str(self.path))
            except TableNotFoundError:
                return None
        else:
            self._delta.update_incremental()
        return self._delta


def schema_conflicts(delta: DeltaTable, schema: pa.Schema) -> dict[str, str]:
    """Return the columns that both have with different types. Delta would cast their values silently."""
    stored = {field.name: field.type for field in delta.schema().fields}
    return {
        field.name: f"column {field.name!r} is {_type(stored[field.name])} in the lake, not {_type(field.type)}"
        for field in Schema.from_arrow(schema).fields
        if field.name in stored and stored[field.name] != field.type
    }


def _type(kind: object) -> str:
    return str(getattr(kind, "type", kind))


def _properties(transactions: Mapping[str, int]) -> CommitProperties:
    return CommitProperties(app_transactions=[Transaction(app, version) for app, version in transactions.items()])


def _recorded(delta: DeltaTable | None, app_id: str) -> int:
    version = None if delta is None else delta.transaction_version(app_id)
    return -1 if version is None else int(version)
