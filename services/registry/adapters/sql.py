"""The registry's tables: loops, releases, and the queue of the mirror."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Integer,
    String,
    Table,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from driftloop.process.errors import Retriable
from driftloop.runner.claims import claim_columns
from driftloop.runner.tables import versioned
from services.registry.domain.release import LoopReleases, ReleaseRecord, Stage

metadata = versioned(Path(__file__).parents[1] / "revisions")

loops = Table(
    "loops",
    metadata,
    Column("loop", String, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("time_ms", BigInteger, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("champion_release_id", String),
    Column("open_release_id", String),
    Column("revision", BigInteger, nullable=False),
    Column("converged_epoch", BigInteger, nullable=False, default=0),
    Column("paused_wall_ms", BigInteger, nullable=False, server_default="0"),
)
"""The champion: one row per loop."""

releases = Table(
    "releases",
    metadata,
    Column("release_id", String, primary_key=True),
    Column("loop", String, nullable=False),
    Column("run_id", String, nullable=False),
    Column("request_id", String, nullable=False),
    Column("bundle_uri", String, nullable=False),
    Column("bundle_digest", String, nullable=False),
    Column("chain", String, nullable=False),
    Column("stage", String, nullable=False),
    Column("from_stage", String, nullable=False),
    Column("step", Integer, nullable=False),
    Column("share", Double, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("entered_ms", BigInteger, nullable=False),
    Column("approval_deadline_ms", BigInteger),
    Column("replaced", String, nullable=False),
)

mirror = Table(
    "mirror",
    metadata,
    Column("release_id", String, primary_key=True),
    Column("loop", String, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("mirrored_generation", Integer, nullable=False),
    Column("version", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_wall_ms", BigInteger, nullable=False),
    Column("problem", String, nullable=False),
    *claim_columns(),
)
"""One row per created release; it needs a copy while its generation is above the mirrored one."""

_COLUMNS = tuple(column.name for column in fields(ReleaseRecord))


class SqlLedger:
    """`services.registry.ports.Ledger` in a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._revisions: dict[str, int] = {}

    def load(self, loop: str) -> LoopReleases:
        row = self._connection.execute(select(loops).where(loops.c.loop == loop)).first()
        if row is None:
            return LoopReleases(loop)
        self._revisions[loop] = row.revision
        champion = self._release(row.champion_release_id)
        return LoopReleases(
            loop=loop,
            epoch=row.epoch,
            time_ms=row.time_ms,
            paused=row.paused,
            paused_wall_ms=row.paused_wall_ms,
            champion=champion,
            open=self._release(row.open_release_id),
            former=self._former(champion),
        )

    def has_release(self, release_id: str) -> bool:
        return self._release(release_id) is not None

    def save(self, before: LoopReleases, after: LoopReleases, touched: Sequence[ReleaseRecord]) -> None:
        values: dict[str, Any] = {
            "epoch": after.epoch,
            "time_ms": after.time_ms,
            "paused": after.paused,
            "paused_wall_ms": after.paused_wall_ms,
            "champion_release_id": after.champion.release_id if after.champion else None,
            "open_release_id": after.open.release_id if after.open else None,
        }
        revision = self._revisions.get(before.loop)
        if revision is None:
            self._first(before.loop, values)
        else:
            self._compare_and_set(before, revision, values)
        for release in touched:
            self._write(before.loop, release)

    def converged(self, loop: str, epoch: int) -> None:
        older = (loops.c.loop == loop) & (loops.c.converged_epoch < epoch)
        self._connection.execute(update(loops).where(older).values(converged_epoch=epoch))

    def _first(self, loop: str, values: dict[str, Any]) -> None:
        try:
            with self._connection.begin_nested():
                self._connection.execute(insert(loops).values(loop=loop, revision=1, converged_epoch=0, **values))
        except IntegrityError as error:
            raise Retriable(f"another writer created the row of {loop}") from error
        self._revisions[loop] = 1

    def _compare_and_set(self, before: LoopReleases, revision: int, values: dict[str, Any]) -> None:
        same = (loops.c.loop == before.loop) & (loops.c.epoch == before.epoch) & (loops.c.revision == revision)
        result = self._connection.execute(update(loops).where(same).values(revision=revision + 1, **values))
        if result.rowcount != 1:
            raise Retriable(f"another writer changed {before.loop} at epoch {before.epoch}")
        self._revisions[before.loop] = revision + 1

    def _release(self, release_id: str | None) -> ReleaseRecord | None:
        if not release_id:
            return None
        row = self._connection.execute(select(releases).where(releases.c.release_id == release_id)).first()
        return _to_release(row) if row else None

    def _former(self, champion: ReleaseRecord | None) -> tuple[ReleaseRecord, ...]:
        """Return retired champions, from the newest champion's predecessor back to the first."""
        former: list[ReleaseRecord] = []
        before = self._release(champion.replaced) if champion else None
        while before is not None and before.stage is Stage.RETIRED:
            former.insert(0, before)
            before = self._release(before.replaced)
        return tuple(former)

    def _write(self, loop: str, release: ReleaseRecord) -> None:
        values = {name: getattr(release, name) for name in _COLUMNS if name != "release_id"}
        values |= {"stage": release.stage.value, "from_stage": release.from_stage.value, "loop": loop}
        same = releases.c.release_id == release.release_id
        if self._connection.execute(update(releases).where(same).values(values)).rowcount == 0:
            self._connection.execute(insert(releases).values(release_id=release.release_id, **values))
        if release.epoch > 0:
            self._queue_copy(loop, release.release_id)

    def _queue_copy(self, loop: str, release_id: str) -> None:
        again = update(mirror).where(mirror.c.release_id == release_id)
        again = again.values(generation=mirror.c.generation + 1, due_wall_ms=0)
        if self._connection.execute(again).rowcount == 0:
            row = {"release_id": release_id, "loop": loop, "generation": 1, "mirrored_generation": 0}
            row |= {"version": "", "attempts": 0, "due_wall_ms": 0, "problem": ""}
            self._connection.execute(insert(mirror).values(row))


def _to_release(row: Any) -> ReleaseRecord:
    values = {name: row._mapping[name] for name in _COLUMNS}
    return ReleaseRecord(**{**values, "stage": Stage(row.stage), "from_stage": Stage(row.from_stage)})
