"""Creates the tables of training, unless they exist: databases older than the first migration have them."""

import sqlalchemy as sa
from alembic import op

revision = "training_0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "loops",
        sa.Column("loop", sa.String, primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "coverage",
        sa.Column("loop", sa.String, primary_key=True),
        sa.Column("part", sa.String, primary_key=True),
        sa.Column("watermark_ms", sa.BigInteger, nullable=False),
        sa.Column("tables", sa.String, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String, primary_key=True),
        sa.Column("loop", sa.String, nullable=False),
        sa.Column("phase", sa.String, nullable=False),
        sa.Column("request", sa.String, nullable=False),
        sa.Column("event_id", sa.String, nullable=False),
        sa.Column("correlation_id", sa.String, nullable=False),
        sa.Column("traceparent", sa.String),
        sa.Column("pinned", sa.String),
        sa.Column("launches", sa.Integer, nullable=False),
        sa.Column("launched_wall_ms", sa.BigInteger),
        if_not_exists=True,
    )
