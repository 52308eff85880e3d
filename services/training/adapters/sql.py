"""Tables of the service: controller states, data coverage and runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import BigInteger, Column, Connection, Integer, String, Table, insert, select, update

from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope
from driftloop.runner.tables import versioned
from services.training.domain.state import RetrainState, parse_state
from services.training.spec import TableVersion

Part = Literal["lake", "offline"]

metadata = versioned(Path(__file__).parents[1] / "revisions")

loops = Table(
    "loops",
    metadata,
    Column("loop", String, primary_key=True),
    Column("state", String, nullable=False),
)

coverage = Table(
    "coverage",
    metadata,
    Column("loop", String, primary_key=True),
    Column("part", String, primary_key=True),
    Column("watermark_ms", BigInteger, nullable=False),
    Column("tables", String, nullable=False),
)
"""Watermark up to which the lake's event tables or the offline views are complete, and their versions."""

runs = Table(
    "runs",
    metadata,
    Column("run_id", String, primary_key=True),
    Column("loop", String, nullable=False),
    Column("phase", String, nullable=False),
    Column("request", String, nullable=False),
    Column("event_id", String, nullable=False),
    Column("correlation_id", String, nullable=False),
    Column("traceparent", String),
    Column("pinned", String),
    Column("launches", Integer, nullable=False),
    Column("launched_wall_ms", BigInteger),
)
"""One run per request. `phase` is waiting, running or done."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Tables by name that are complete up to a watermark (UTC milliseconds since the epoch)."""

    watermark_ms: int
    tables: Mapping[str, TableVersion]


@dataclass(frozen=True, slots=True)
class PinnedTables:
    """Versions of event tables and offline views that a run reads, fixed at its first launch."""

    events: Mapping[str, TableVersion]
    views: Mapping[str, TableVersion]

    def to_json(self) -> str:
        return json.dumps({"events": _plain(self.events), "views": _plain(self.views)}, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Run:
    """A requested run and its progress. ``event_id`` is the newest event of its chain."""

    run_id: str
    loop: str
    request: training.RetrainRequested
    event_id: str
    correlation_id: str
    traceparent: str | None
    phase: Literal["waiting", "running", "done"] = "waiting"
    pinned: PinnedTables | None = None
    launches: int = 0
    launched_wall_ms: int | None = None


# Built once, because the worker executes it all the time: to build a statement takes longer than to execute it.
_OPEN = select(runs).where(runs.c.phase != "done").order_by(runs.c.run_id)


def load_state(connection: Connection, loop: str) -> RetrainState:
    """Return a loop's state, or a new one."""
    query = select(loops.c.state).where(loops.c.loop == loop)
    text = connection.execute(query).scalar()
    return parse_state(text) if text is not None else RetrainState(loop)


def save_state(connection: Connection, state: RetrainState) -> None:
    """Insert or update a loop's state."""
    changed = connection.execute(update(loops).where(loops.c.loop == state.loop).values(state=state.to_json()))
    if changed.rowcount == 0:
        connection.execute(insert(loops).values(loop=state.loop, state=state.to_json()))


def load_coverage(connection: Connection, loop: str, part: Part) -> Coverage | None:
    """Return what a part covers, or None before its first flush."""
    query = select(coverage).where(coverage.c.loop == loop, coverage.c.part == part)
    row = connection.execute(query).first()
    return None if row is None else Coverage(row.watermark_ms, _tables(json.loads(row.tables)))


def extend_coverage(connection: Connection, loop: str, part: Part, seen: Coverage) -> None:
    """Record a flush. Watermark and versions never decrease."""
    known = load_coverage(connection, loop, part)
    tables = dict(known.tables) if known else {}
    for name, table in seen.tables.items():
        if name not in tables or table.version >= tables[name].version:
            tables[name] = table
    watermark_ms = max(seen.watermark_ms, known.watermark_ms) if known else seen.watermark_ms
    row = {"watermark_ms": watermark_ms, "tables": json.dumps(_plain(tables), sort_keys=True)}
    if known is None:
        connection.execute(insert(coverage).values(loop=loop, part=part, **row))
    else:
        where = (coverage.c.loop == loop, coverage.c.part == part)
        connection.execute(update(coverage).where(*where).values(**row))


def add_run(connection: Connection, run_id: str, event: Envelope[training.RetrainRequested]) -> None:
    """Add a run for a request. Idempotent."""
    if connection.execute(select(runs.c.run_id).where(runs.c.run_id == run_id)).first() is not None:
        return
    connection.execute(
        insert(runs).values(
            run_id=run_id,
            loop=event.data.loop,
            phase="waiting",
            request=event.data.SerializeToString(deterministic=True).hex(),
            event_id=event.id,
            correlation_id=event.correlation_id,
            traceparent=event.traceparent,
            launches=0,
        )
    )


def open_runs(connection: Connection) -> list[Run]:
    """Return the runs that have not ended, by id."""
    return [_run(row) for row in connection.execute(_OPEN)]


def replace_run(connection: Connection, before: Run, run: Run) -> bool:
    """Store a run's progress, unless another worker has changed the run since it was read; return whether it did."""
    values = {
        "phase": run.phase,
        "event_id": run.event_id,
        "pinned": run.pinned.to_json() if run.pinned else None,
        "launches": run.launches,
        "launched_wall_ms": run.launched_wall_ms,
    }
    unchanged = (runs.c.phase == before.phase) & (runs.c.launches == before.launches)
    return connection.execute(update(runs).where(runs.c.run_id == run.run_id, unchanged).values(**values)).rowcount == 1


def _run(row: Any) -> Run:
    run = Run(
        run_id=row.run_id,
        loop=row.loop,
        request=training.RetrainRequested.FromString(bytes.fromhex(row.request)),
        event_id=row.event_id,
        correlation_id=row.correlation_id,
        traceparent=row.traceparent,
        phase=row.phase,
        launches=row.launches,
        launched_wall_ms=row.launched_wall_ms,
    )
    if row.pinned is None:
        return run
    data = json.loads(row.pinned)
    return replace(run, pinned=PinnedTables(_tables(data["events"]), _tables(data["views"])))


def _plain(tables: Mapping[str, TableVersion]) -> dict[str, list[str | int]]:
    return {name: [table.path, table.version] for name, table in tables.items()}


def _tables(data: Mapping[str, tuple[str, int]]) -> dict[str, TableVersion]:
    return {name: TableVersion(path, version) for name, (path, version) in data.items()}
