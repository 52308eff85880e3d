"""A lease in SQL: one instance of a service works on a database at a time, and the others wait as standbys.

The row of a lease names its owner and has an epoch, which grows with each new owner. A standby takes over when the row
did not change for the lease's duration on the standby's own monotonic clock, so the clocks of two machines need not
agree. Each write transaction of the owner checks the epoch (`Lease.check`). So an instance that was paused and wakes up
after another one took over changes nothing in the database, and ends
(`docs/decisions/0012-a-lease-with-an-epoch-lets-one-instance-work.md`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Engine, MetaData, String, Table, select, update
from sqlalchemy.exc import OperationalError

from driftloop.process import log
from driftloop.process.clock import Clock
from driftloop.process.errors import LeaseLost
from driftloop.runner.tables import insert, reading

metadata = MetaData()
"""Without revisions: a standby needs the table, and only the owner migrates the database."""

leases = Table(
    "leases",
    metadata,
    Column("name", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("until_wall_ms", BigInteger, nullable=False),
)
"""``until_wall_ms``: the wall time at which the owner expects to lose the lease; 0 if the owner has released it."""


class Lease:
    """One instance's view of a lease. ``owner`` names the instance; ``duration_s``: see `acquire`."""

    def __init__(self, engine: Engine, name: str, owner: str, clock: Clock, duration_s: float) -> None:
        self.name = name
        self.owner = owner
        self.epoch = 0
        self.duration_s = duration_s
        self.renew_every_s = duration_s / 3
        self._engine = engine
        self._clock = clock
        query = select(leases.c.owner, leases.c.epoch).where(leases.c.name == name)
        # text, because every write transaction executes it: SQLAlchemy needs ten times as long for a statement
        self._query = str(query.compile(engine, compile_kwargs={"literal_binds": True}))
        self._row = select(leases).where(leases.c.name == name)
        self._seen: tuple[str, int, int] | None = None
        self._seen_s = 0.0
        with engine.begin() as connection:
            metadata.create_all(connection)

    def acquire(self, *, alone: bool = False) -> bool:
        """Take the lease if nobody has it; return whether this instance is now the owner.

        A lease is free if it was released, or if its row did not change for its duration since this instance first saw
        it. ``alone``: no other process with this owner's name lives, so a lease with that name is free too.
        """
        with reading(self._engine) as connection:
            row = connection.execute(self._row).first()
        if row is not None and not self._is_free(row, alone):
            return False
        epoch = 1 if row is None else row.epoch + 1
        values = {"owner": self.owner, "epoch": epoch, "until_wall_ms": self._until_ms()}
        with self._engine.begin() as connection:
            if row is None:
                new = insert(connection, leases).values(name=self.name, **values)
                statement: Any = new.on_conflict_do_nothing(index_elements=["name"])
            else:
                same = (leases.c.epoch == row.epoch) & (leases.c.until_wall_ms == row.until_wall_ms)
                statement = update(leases).where(leases.c.name == self.name, same).values(values)
            taken = len(connection.execute(statement.returning(leases.c.name)).all()) == 1
        if taken:
            self.epoch = epoch
        return taken

    def renew(self) -> None:
        """Extend the lease.

        Raises:
            LeaseLost: another instance has taken it.
        """
        with self.held() as connection:
            mine = update(leases).where(leases.c.name == self.name)
            connection.execute(mine.values(until_wall_ms=self._until_ms()))

    def release(self) -> None:
        """Let another instance take the lease at once. Does nothing if another one has it."""
        with self._engine.begin() as connection:
            mine = update(leases).where(leases.c.name == self.name, leases.c.epoch == self.epoch)
            connection.execute(mine.values(until_wall_ms=0))

    def check(self, connection: Connection) -> None:
        """Check that this instance is the owner until the connection's write transaction ends.

        Raises:
            LeaseLost: another instance has taken the lease.
        """
        row = connection.exec_driver_sql(self._query).first()
        if row is None or row.epoch != self.epoch:
            owner = "nobody" if row is None else f"{row.owner} with epoch {row.epoch}"
            raise LeaseLost(f"the lease {self.name} belongs to {owner}; this instance had epoch {self.epoch} and ends")

    @contextmanager
    def held(self) -> Iterator[Connection]:
        """Open a write transaction in which nobody else takes the lease.

        Raises:
            LeaseLost: another instance has taken it.
        """
        with self._engine.begin() as connection:
            self.check(connection)
            yield connection

    def close(self) -> None:
        self._engine.dispose()

    def _is_free(self, row: Any, alone: bool) -> bool:
        if row.until_wall_ms == 0 or (alone and row.owner == self.owner):
            return True
        seen, now_s = (row.owner, row.epoch, row.until_wall_ms), self._clock.monotonic_s()
        if seen != self._seen:
            self._seen, self._seen_s = seen, now_s
            return False
        return now_s - self._seen_s >= self.duration_s

    def _until_ms(self) -> int:
        return self._clock.now_ms() + round(self.duration_s * 1000)


class Renewals:
    """Renews a lease on a thread, and releases it at the end. ``on_loss`` is called if another instance takes it."""

    def __init__(self, lease: Lease, on_loss: Callable[[], None]) -> None:
        self.lost: LeaseLost | None = None
        """Says who took the lease."""
        self._lease = lease
        self._on_loss = on_loss
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._log = log.get(__name__)

    def start(self) -> None:
        """Start to renew."""
        self._thread.start()

    def end(self) -> None:
        """Stop renewing, and let a standby take over."""
        self._ended.set()
        self._thread.join()
        try:
            self._lease.release()
        except OperationalError as error:
            self._log.warning("lease-not-released", problem=str(error.orig))
        self._lease.close()

    def _renew(self) -> None:
        while not self._ended.wait(self._lease.renew_every_s):
            try:
                self._lease.renew()
            except LeaseLost as lost:
                self.lost = lost
                self._on_loss()
                self._log.error("lease-lost", problem=str(lost))
                return
            except OperationalError as error:
                # the database does not answer: nobody can take the lease there, and this instance cannot write
                self._log.warning("lease-not-renewed", problem=str(error.orig))
