"""The control service's tables: the read model, the index of predictions, and notices."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, String, Table

from driftloop.runner.claims import claim_columns
from driftloop.runner.tables import versioned

metadata = versioned(Path(__file__).parents[1] / "revisions")

events = Table(
    "events",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("event_id", String, unique=True, nullable=False),
    Column("source", String, nullable=False),
    Column("type", String, nullable=False),
    Column("loop", String, nullable=False),
    Column("time_ms", BigInteger, nullable=False),
    Column("wall_time_ms", BigInteger, nullable=False),
    Column("correlation_id", String, nullable=False),
    Column("causation_id", String),
    Column("traceparent", String),
    Column("data", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
"""One row per event. A position is never used twice, not even after the read model was rebuilt."""

Index("events_of_chain", events.c.correlation_id)
Index("events_of_loop", events.c.loop, events.c.type, events.c.time_ms)
Index("events_of_loop_by_position", events.c.loop, events.c.position)

positions = Table(
    "positions",
    metadata,
    Column("reader", String, primary_key=True),
    Column("topic", String, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
)
"""Next offset to read, by reader."""

predictions = Table(
    "predictions",
    metadata,
    Column("prediction_id", String, primary_key=True),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""One row per prediction: its first position in the log."""

notices = Table(
    "notices",
    metadata,
    Column("notice_id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("loop", String, nullable=False),
    Column("episode", String, nullable=False),
    Column("time_ms", BigInteger, nullable=False),
    Column("wall_time_ms", BigInteger, nullable=False),
    Column("title", String, nullable=False),
    Column("text", String, nullable=False),
    Column("event_id", String, nullable=False),
    Column("correlation_id", String, nullable=False),
    Column("put_wall_ms", BigInteger, nullable=False),
)
"""One row per episode. Rows are never deleted, so that an episode gives one notice."""

deliveries = Table(
    "notice_deliveries",
    metadata,
    Column("notice_id", String, ForeignKey(notices.c.notice_id), primary_key=True),
    Column("channel", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_wall_ms", BigInteger, nullable=False),
    Column("ended_wall_ms", BigInteger),
    Column("problem", String, nullable=False),
    *claim_columns(),
)
"""One row per notice and channel."""

Index("notice_deliveries_due", deliveries.c.channel, deliveries.c.state, deliveries.c.due_wall_ms)
