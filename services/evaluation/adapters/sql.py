"""The evaluation's rows: candidates, stages, champions and paired sums."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Index,
    Integer,
    String,
    Table,
    delete,
    insert,
    select,
    update,
)

from driftloop.runner.tables import versioned
from services.evaluation.domain.rollout import Evidence, PairedLosses
from services.evaluation.ports import Block, Candidate, StageEntry

metadata = versioned(Path(__file__).parents[1] / "revisions")

candidates = Table(
    "candidates",
    metadata,
    Column("release_id", String, primary_key=True),
    Column("loop", String, nullable=False),
    Column("run_id", String, nullable=False),
    Column("bundle_uri", String, nullable=False),
    Column("bundle_digest", String, nullable=False),
)

stages = Table(
    "stages",
    metadata,
    Column("release_id", String, primary_key=True),
    Column("loop", String, nullable=False),
    Column("stage", String, nullable=False),
    Column("step", Integer, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("entered_ms", BigInteger, nullable=False),
    Column("champion_release_id", String, nullable=False),
    Column("chain", String, nullable=False),
    Column("event_id", String, nullable=False),
    Column("ended", Integer, nullable=False, default=0),
)
"""The newest stage of each release."""

champions = Table(
    "champions",
    metadata,
    Column("loop", String, primary_key=True),
    Column("release_id", String, nullable=False),
    Column("epoch", BigInteger, nullable=False),
)

paired = Table(
    "paired_blocks",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("loop", String, nullable=False),
    Column("window_event_id", String, nullable=False),
    Column("champion_release_id", String, nullable=False),
    Column("challenger_release_id", String, nullable=False),
    Column("block_start_ms", BigInteger, nullable=False),
    Column("slice", String, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("champion_loss", Double, nullable=False),
    Column("challenger_loss", Double, nullable=False),
)

Index("paired_by_pair", paired.c.challenger_release_id, paired.c.champion_release_id, paired.c.block_start_ms)
Index("stages_by_loop", stages.c.loop, stages.c.ended)

_JUDGED = ("shadow", "canary")


class SqlState:
    """`services.evaluation.ports.State` in a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add_candidate(self, candidate: Candidate) -> None:
        if self.candidate(candidate.release_id) is None:
            values = {name: getattr(candidate, name) for name in Candidate.__slots__}
            self._connection.execute(insert(candidates).values(values))

    def candidate(self, release_id: str) -> Candidate | None:
        row = self._connection.execute(select(candidates).where(candidates.c.release_id == release_id)).first()
        return Candidate(**row._mapping) if row else None

    def enter(self, entry: StageEntry) -> bool:
        stored = select(stages.c.epoch).where(stages.c.release_id == entry.release_id)
        epoch = self._connection.execute(stored).scalar()
        if epoch is not None and epoch >= entry.epoch:
            return False
        values = {name: getattr(entry, name) for name in StageEntry.__slots__}
        self._connection.execute(delete(stages).where(stages.c.release_id == entry.release_id))
        self._connection.execute(insert(stages).values(**values, ended=0))
        return True

    def open_stage(self, loop: str) -> StageEntry | None:
        chosen = select(stages).where(stages.c.loop == loop, stages.c.ended == 0, stages.c.stage.in_(_JUDGED))
        row = self._connection.execute(chosen.order_by(stages.c.epoch.desc()).limit(1)).first()
        return StageEntry(**{name: row._mapping[name] for name in StageEntry.__slots__}) if row else None

    def end(self, release_id: str) -> None:
        self._connection.execute(update(stages).where(stages.c.release_id == release_id).values(ended=1))

    def champion(self, loop: str) -> str:
        row = self._connection.execute(select(champions.c.release_id).where(champions.c.loop == loop)).first()
        return str(row.release_id) if row else ""

    def set_champion(self, loop: str, release_id: str, epoch: int) -> None:
        known = self._connection.execute(select(champions.c.epoch).where(champions.c.loop == loop)).scalar()
        if known is not None and known >= epoch:
            return
        self._connection.execute(delete(champions).where(champions.c.loop == loop))
        self._connection.execute(insert(champions).values(loop=loop, release_id=release_id, epoch=epoch))

    def add_blocks(self, loop: str, window_event_id: str, blocks: Sequence[Block]) -> None:
        rows = [
            {"loop": loop, "window_event_id": window_event_id, **{name: getattr(b, name) for name in Block.__slots__}}
            for b in blocks
        ]
        if rows:
            self._connection.execute(insert(paired), rows)

    def evidence(self, entry: StageEntry) -> Evidence:
        by_slice: dict[str, list[Any]] = defaultdict(list)
        for row in self._connection.execute(_of_pair(entry).order_by(paired.c.block_start_ms, paired.c.id)):
            by_slice[row.slice].append(row)
        all_rows = _losses(by_slice.pop("", []))
        return Evidence(all_rows, {name: _losses(rows) for name, rows in by_slice.items()}, entry.entered_ms)

    def evidence_ids(self, entry: StageEntry, since_ms: int | None) -> list[str]:
        chosen = _of_pair(entry).where(paired.c.slice == "", paired.c.rows > 0).order_by(paired.c.id)
        if since_ms is not None:
            chosen = chosen.where(paired.c.block_start_ms >= since_ms)
        return list(dict.fromkeys(row.window_event_id for row in self._connection.execute(chosen)))


def _of_pair(entry: StageEntry) -> Any:
    return select(paired).where(
        paired.c.loop == entry.loop,
        paired.c.challenger_release_id == entry.release_id,
        paired.c.champion_release_id == entry.champion_release_id,
    )


def _losses(rows: Sequence[Any]) -> PairedLosses:
    return PairedLosses(
        block_start_ms=np.array([row.block_start_ms for row in rows], dtype=np.int64),
        rows=np.array([row.rows for row in rows], dtype=np.int64),
        champion_loss=np.array([row.champion_loss for row in rows], dtype=np.float64),
        challenger_loss=np.array([row.challenger_loss for row in rows], dtype=np.float64),
    )
