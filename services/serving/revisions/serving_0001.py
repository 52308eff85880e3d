"""Creates the tables of serving, unless they exist: databases older than the first migration have them."""

import sqlalchemy as sa
from alembic import op

revision = "serving_0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "routes",
        sa.Column("loop", sa.String, primary_key=True),
        sa.Column("epoch", sa.BigInteger, primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("received_wall_ms", sa.BigInteger, nullable=False),
        sa.Column("event_id", sa.String, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("time_ms", sa.BigInteger, nullable=False),
        sa.Column("wall_time_ms", sa.BigInteger, nullable=False),
        sa.Column("correlation_id", sa.String, nullable=False),
        sa.Column("causation_id", sa.String),
        sa.Column("traceparent", sa.String),
        sa.Column("route_changed", sa.LargeBinary, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "spool_positions",
        sa.Column("loop", sa.String, primary_key=True),
        sa.Column("segment", sa.Integer, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )
