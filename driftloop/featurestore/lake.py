"""Delta tables with one writer and app transactions, so that a repeated append adds nothing.

deltalake notes application transactions but does not skip repeats by itself: `append` compares them first, and writes
through the handle it compared with, so that a racing writer makes the commit fail instead of doubling rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

_ATTEMPTS = 5
_CONFIGURATION = {"delta.checkpointInterval": "100"}


class Table:
    """A handle on one Delta table that is kept open: reopening by path costs a read of the whole log."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._delta: DeltaTable | None = None

    def exists(self) -> bool:
        """Whether the table has been created."""
        return self._open() is not None

    def version(self) -> int:
        """Newest version; -1 where there is no table."""
        delta = self._open()
        return -1 if delta is None else delta.version()

    def transaction_version(self, app_id: str) -> int:
        """Version that an application noted last; -1 where it never did."""
        delta = self._open()
        return -1 if delta is None else _noted(delta, app_id)

    def append(self, rows: pa.Table, transactions: Mapping[str, int]) -> int:
        """Append rows and note each application's version, in one commit; returns the table's version.

        A commit none of whose versions is newer than the noted one is a repeat and adds nothing. Where only some are
        newer, the caller has to leave out the rows that stand already (see `transaction_version`).

        Raises:
            CommitFailedError: other writers won five times in a row.
        """
        for attempt in range(_ATTEMPTS):
            delta = self._open() or self._create(rows.schema)
            newer = {app: version for app, version in transactions.items() if version > _noted(delta, app)}
            if transactions and not newer:
                return delta.version()
            try:
                write_deltalake(delta, rows, mode="append", commit_properties=_properties(newer))
            except CommitFailedError:
                if attempt + 1 == _ATTEMPTS:
                    raise
                self._delta = None
            else:
                return delta.version()
        raise AssertionError("unreachable")

    def read(self, version: int | None = None) -> pa.Table:
        """All rows, at a version or the newest.

        Raises:
            TableNotFoundError: there is no table.
        """
        return DeltaTable(self.path, version=version).to_pyarrow_table()

    def _create(self, schema: pa.Schema) -> DeltaTable:
        """The table with no rows: of two that race, one creates it, and both then append as to any other."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            DeltaTable.create(self.path, schema, mode="error", configuration=_CONFIGURATION)
        except DeltaError:
            if not self.exists():
                raise
        self._delta = DeltaTable(self.path)
        return self._delta

    def _open(self) -> DeltaTable | None:
        if self._delta is None:
            try:
                self._delta = DeltaTable(self.path)
            except TableNotFoundError:
                return None
        else:
            self._delta.update_incremental()
        return self._delta


def _properties(transactions: Mapping[str, int]) -> CommitProperties:
    return CommitProperties(app_transactions=[Transaction(app, version) for app, version in transactions.items()])


def _noted(delta: DeltaTable, app_id: str) -> int:
    noted = delta.transaction_version(app_id)
    return -1 if noted is None else int(noted)
