"""The join's tables. The inbox and the outbox are in the same database."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, String, Table, Text

from driftloop.runner.tables import versioned

metadata = versioned(Path(__file__).parents[1] / "revisions")

predictions = Table(
    "predictions",
    metadata,
    Column("loop", String, primary_key=True),
    Column("prediction_id", String, primary_key=True),
    Column("key", String, nullable=False),
    Column("decision_ms", BigInteger, nullable=False),
    Column("visible_ms", BigInteger, nullable=False),
    Column("record", LargeBinary),
)
"""``record`` is the logged message while the prediction waits for its outcome, then NULL."""

outcomes = Table(
    "outcomes",
    metadata,
    Column("loop", String, primary_key=True),
    Column("row_id", String, primary_key=True),
    Column("event_id", String, nullable=False),
    Column("key", String, nullable=False),
    Column("event_ms", BigInteger, nullable=False),
    Column("visible_ms", BigInteger, nullable=False),
    Column("value", Float, nullable=False),
    Column("kept", Integer, nullable=False),
)
"""``kept`` is 1 once this outcome is the one remembered for its key."""

Index("predictions_visible", predictions.c.loop, predictions.c.visible_ms)
Index("outcomes_visible", outcomes.c.loop, outcomes.c.visible_ms)

releases = Table(
    "releases",
    metadata,
    Column("loop", String, primary_key=True),
    Column("release_id", String, primary_key=True),
    Column("uri", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("stage", String, nullable=False),
)

checkpoint_table = Table(
    "checkpoint", metadata, Column("one", Integer, primary_key=True), Column("body", Text, nullable=False)
)

windows = Table(
    "windows",
    metadata,
    Column("loop", String, primary_key=True),
    Column("end_ms", BigInteger, primary_key=True),
    Column("start_ms", BigInteger, nullable=False),
    Column("sums", Text, nullable=False),
    Column("rows", LargeBinary, nullable=False),
)
"""Closed windows, as JSON: the newest published sums of each release, and the joined rows in the order of their sums.
"""
