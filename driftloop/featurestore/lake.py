"""Delta tables with one writer and app transactions, so that a repeated append adds nothing.

deltalake records application transactions but does not skip repeats. So `append` compares the versions first, and
writes through the handle that it compared: if another writer commits in between, the commit fails instead of
duplicating rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

_ATTEMPTS = 5
_CONFIGURATION = {"delta.checkpointInterval": "100"}


class LakeTable:
    """An open handle on one Delta table. Opening it again by path would read the whole log."""

    def __init__(self, path: Path) -> None:
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
        delta = self._open()
        return -1 if delta is None else _noted(delta, app_id)

    def append(self, rows: pa.Table, transactions: Mapping[str, int]) -> int:
        """Append rows and record each application's version, in one commit; return the table's version.

        A commit is a repeat and adds nothing if none of its versions is newer than the recorded one. If only some are
        newer,
        the caller must leave out the rows that are already stored (see `transaction_version`).

        Raises:
            CommitFailedError: other writers committed first five times in a row.
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
        """Return all rows of a version, by default the newest.

        Raises:
            TableNotFoundError: there is no table.
        """
        return DeltaTable(self.path, version=version).to_pyarrow_table()

    def _create(self, schema: pa.Schema) -> DeltaTable:
        """Create the table without rows. If two processes race, one creates it, and both then append as usual."""
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
