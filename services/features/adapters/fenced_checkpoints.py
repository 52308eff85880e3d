"""The checkpoint file of the instance that has the lease. The service's database has the number of the newest one.

The file is in a home, and the instances of a service may have different homes. So a home whose file is not the newest
is refused: windows that start from an old state would lack events.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import BigInteger, Column, Connection, Integer, MetaData, String, Table, delete, insert, select

from driftloop.process.errors import ConfigError
from driftloop.runner.lease import Lease
from services.features.adapters.checkpoint_file import CheckpointFile
from services.features.ports import Checkpoint

metadata = MetaData()

newest = Table(
    "newest_checkpoint",
    metadata,
    Column("one", Integer, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("owner", String, nullable=False),
)
"""One row."""


class FencedCheckpoints:
    """`services.features.ports.Checkpoints` in a file that only the owner of the lease reads and replaces."""

    def __init__(self, file: CheckpointFile, lease: Lease) -> None:
        self._file = file
        self._lease = lease
        with lease.held() as connection:
            metadata.create_all(connection)

    def load(self) -> Checkpoint | None:
        """Load the newest checkpoint.

        Raises:
            ConfigError: this home does not have it, or its file is damaged.
        """
        checkpoint = self._file.load()
        with self._lease.held() as connection:
            row = connection.execute(select(newest)).first()
        if row is not None and row.sequence > (0 if checkpoint is None else checkpoint.sequence):
            raise ConfigError(
                f"{self._file.path} is not the newest checkpoint of the features, which {row.owner} has written: copy "
                "that file here, or run `python -m services.features.backfill --loop LOOP` for every loop"
            )
        return checkpoint

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the file while nobody else can take the lease.

        Raises:
            LeaseLost: another instance has taken it.
        """
        with self._lease.held() as connection:
            sequence = _sequence(connection) + 1
            self._file.save(replace(checkpoint, sequence=sequence))
            connection.execute(delete(newest))
            connection.execute(insert(newest).values(one=1, sequence=sequence, owner=self._lease.owner))


def _sequence(connection: Connection) -> int:
    return int(connection.execute(select(newest.c.sequence)).scalar() or 0)
