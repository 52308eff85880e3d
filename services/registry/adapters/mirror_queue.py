"""The queue of releases to copy to MLflow; each step is a short transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, Row, func, select, update

from driftloop.runner.claims import RELEASED, claim, is_free
from driftloop.runner.tables import reading
from services.registry.adapters.sql import loops, mirror, releases
from services.registry.ports import MirroredRelease, MirrorTask

_WAITS = mirror.c.generation > mirror.c.mirrored_generation


class SqlMirrorQueue:
    """`services.registry.ports.MirrorQueue` in the registry's database. ``owner``: name of this instance."""

    def __init__(self, engine: Engine, owner: str) -> None:
        self._engine = engine
        self._owner = owner

    def backlog(self) -> int:
        with reading(self._engine) as connection:
            return int(connection.execute(select(func.count()).select_from(mirror).where(_WAITS)).scalar_one())

    def claim(self, now_ms: int, until_ms: int) -> MirrorTask | None:
        due = select(mirror).where(_WAITS, mirror.c.due_wall_ms <= now_ms, is_free(mirror, self._owner, now_ms))
        first = due.order_by(mirror.c.due_wall_ms, mirror.c.release_id).limit(1)
        while (row := self._one(first)) is not None:
            same = mirror.c.release_id == row.release_id
            if claim(self._engine, mirror, same, owner=self._owner, now_ms=now_ms, until_ms=until_ms):
                return MirrorTask(row.loop, row.release_id, row.generation, row.attempts)
        return None

    def release(self, release_id: str) -> MirroredRelease:
        row = self._one(select(releases).where(releases.c.release_id == release_id))
        if row is None:
            raise LookupError(f"{release_id} is queued for mirroring but has no row")
        return MirroredRelease(**{name: row._mapping[name] for name in MirroredRelease.__slots__})

    def aliases(self, loop: str) -> Mapping[str, str]:
        row = self._one(select(loops).where(loops.c.loop == loop))
        named = {"champion": row.champion_release_id, "challenger": row.open_release_id} if row else {}
        return {alias: release_id for alias, release_id in named.items() if release_id}

    def version(self, release_id: str) -> str:
        row = self._one(select(mirror.c.version).where(mirror.c.release_id == release_id))
        return str(row.version) if row else ""

    def save_version(self, release_id: str, version: str) -> None:
        self._set(release_id, version=version)

    def done(self, task: MirrorTask) -> None:
        self._set(task.release_id, mirrored_generation=task.generation, attempts=0, problem="", **RELEASED)

    def failed(self, task: MirrorTask, retry_at_ms: int, problem: str) -> None:
        again = {"attempts": task.attempts + 1, "due_wall_ms": retry_at_ms, "problem": problem[:500]}
        self._set(task.release_id, **again, **RELEASED)

    def _one(self, query: Any) -> Row[Any] | None:
        with reading(self._engine) as connection:
            return connection.execute(query).first()

    def _set(self, release_id: str, **values: Any) -> None:
        """Change a row that this instance has claimed. Another one's row is left as it is."""
        mine = (mirror.c.release_id == release_id) & (mirror.c.claimed_by == self._owner)
        with self._engine.begin() as connection:
            connection.execute(update(mirror).where(mine).values(values))
