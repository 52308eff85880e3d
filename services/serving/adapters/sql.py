"""The agent's tables.

They hold requested routes and what all Tritons report about them, the shipped position in each spool segment, and the
agent's starts as a writer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    String,
    Table,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from driftloop.contracts import registry_pb2, serving_pb2
from driftloop.events.envelope import Envelope, from_row, to_row
from driftloop.runner.tables import reading, versioned
from services.serving.domain.desired import DESIRED, PASSED, DesiredRoute

metadata = versioned(Path(__file__).parents[1] / "revisions")

routes = Table(
    "routes",
    metadata,
    Column("loop", String, primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("state", String, nullable=False),
    Column("received_wall_ms", BigInteger, nullable=False),
    Column("event_id", String, nullable=False),
    Column("source", String, nullable=False),
    Column("time_ms", BigInteger, nullable=False),
    Column("wall_time_ms", BigInteger, nullable=False),
    Column("correlation_id", String, nullable=False),
    Column("causation_id", String),
    Column("traceparent", String),
    Column("route_changed", LargeBinary, nullable=False),
)
"""Each requested route with its event; `state` is desired, converged, failed or passed."""

spool_positions = Table(
    "spool_positions",
    metadata,
    Column("loop", String, primary_key=True),
    Column("segment", Integer, primary_key=True),
    Column("position", BigInteger, nullable=False),
)
"""Bytes of each spool segment that Kafka has acknowledged."""

writers = Table(
    "writers",
    metadata,
    Column("loop", String, primary_key=True),
    Column("start", BigInteger, nullable=False),
    Column("watermark_ms", BigInteger),
)
"""The newest start as a writer of each loop's prediction log, and the newest watermark that the log has from it."""

route_reports = Table(
    "route_reports",
    metadata,
    Column("loop", String, primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("triton", String, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("report", LargeBinary, nullable=False),
)
"""The first report of each Triton about a route, if there are several; `number` is their order."""


# Built once, because the reconciler executes it all the time: to build a statement takes longer than to execute it.
_NEWEST = (
    select(routes)
    .where(routes.c.loop == bindparam("loop"), routes.c.state == bindparam("state"))
    .order_by(routes.c.epoch.desc())
    .limit(1)
)


def newest_epoch(connection: Connection, loop: str) -> int:
    """Return the greatest requested epoch, or 0."""
    query = select(routes.c.epoch).where(routes.c.loop == loop).order_by(routes.c.epoch.desc()).limit(1)
    return int(connection.execute(query).scalar() or 0)


def add_route(connection: Connection, event: Envelope[registry_pb2.RouteChanged], received_wall_ms: int) -> None:
    """Store a route as desired."""
    connection.execute(
        insert(routes).values(
            **to_row(event),
            epoch=event.data.epoch,
            state=DESIRED,
            received_wall_ms=received_wall_ms,
            route_changed=event.data.SerializeToString(deterministic=True),
        )
    )


def set_state(connection: Connection, loop: str, epoch: int, state: str) -> None:
    """Set a route's state."""
    connection.execute(update(routes).where(routes.c.loop == loop, routes.c.epoch == epoch).values(state=state))


def mark_passed(connection: Connection, loop: str, epoch: int) -> None:
    """Mark untried routes older than an epoch as passed."""
    overtaken = (routes.c.loop == loop) & (routes.c.epoch < epoch) & (routes.c.state == DESIRED)
    connection.execute(update(routes).where(overtaken).values(state=PASSED))


def newest_route(connection: Connection, loop: str, state: str) -> DesiredRoute | None:
    """Return the newest route of a loop in a state."""
    row = connection.execute(_NEWEST, {"loop": loop, "state": state}).first()
    return None if row is None else _desired(row)


def reports(connection: Connection, loop: str, epoch: int) -> list[serving_pb2.RouteReported]:
    """Return the first report of each Triton about a route, in order."""
    of_route = (route_reports.c.loop == loop) & (route_reports.c.epoch == epoch)
    rows = connection.execute(select(route_reports.c.report).where(of_route).order_by(route_reports.c.number))
    return [serving_pb2.RouteReported.FromString(row.report) for row in rows]


def add_report(connection: Connection, report: serving_pb2.RouteReported, number: int) -> None:
    """Store a Triton's first report about a route."""
    content = report.SerializeToString(deterministic=True)
    key = {"loop": report.loop, "epoch": report.epoch, "triton": report.triton}
    connection.execute(insert(route_reports).values(**key, number=number, report=content))


class SqlSpoolPositions:
    """`services.serving.ports.SpoolPositions` in SQL."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def load(self, loop: str) -> dict[int, int]:
        query = select(spool_positions.c.segment, spool_positions.c.position).where(spool_positions.c.loop == loop)
        with reading(self._engine) as connection:
            return {row.segment: row.position for row in connection.execute(query)}

    def save(self, loop: str, positions: Mapping[int, int]) -> None:
        rows = [{"loop": loop, "segment": segment, "position": position} for segment, position in positions.items()]
        with self._engine.begin() as connection:
            connection.execute(delete(spool_positions).where(spool_positions.c.loop == loop))
            if rows:
                connection.execute(insert(spool_positions), rows)


class SqlWriterStarts:
    """`services.serving.ports.WriterStarts` in SQL."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def begin(self, loops: Sequence[str], least: int) -> dict[str, tuple[int, int | None]]:
        with self._engine.begin() as connection:
            known = {row.loop: row for row in connection.execute(select(writers).where(writers.c.loop.in_(loops)))}
            begun = {
                loop: (max(least, known[loop].start + 1), known[loop].watermark_ms) if loop in known else (least, None)
                for loop in loops
            }
            rows = [
                {"loop": loop, "start": start, "watermark_ms": watermark_ms}
                for loop, (start, watermark_ms) in begun.items()
            ]
            connection.execute(delete(writers).where(writers.c.loop.in_(loops)))
            if rows:
                connection.execute(insert(writers), rows)
        return begun

    def save(self, watermarks_ms: Mapping[str, int]) -> None:
        saved = update(writers).where(writers.c.loop == bindparam("of_loop")).values(watermark_ms=bindparam("newest"))
        rows = [{"of_loop": loop, "newest": watermark_ms} for loop, watermark_ms in watermarks_ms.items()]
        with self._engine.begin() as connection:
            connection.execute(saved, rows)


def _desired(row: Any) -> DesiredRoute:
    cause = from_row(row, registry_pb2.RouteChanged.FromString(row.route_changed))
    return DesiredRoute(cause, row.received_wall_ms)
