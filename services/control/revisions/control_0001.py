"""Creates the tables of control."""

import sqlalchemy as sa
from alembic import op

revision = "control_0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    _read_model()
    _notices()


def _read_model() -> None:
    op.create_table(
        "events",
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("event_id", sa.String, unique=True, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("loop", sa.String, nullable=False),
        sa.Column("time_ms", sa.BigInteger, nullable=False),
        sa.Column("wall_time_ms", sa.BigInteger, nullable=False),
        sa.Column("correlation_id", sa.String, nullable=False),
        sa.Column("causation_id", sa.String),
        sa.Column("traceparent", sa.String),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("events_of_chain", "events", ["correlation_id"])
    op.create_index("events_of_loop", "events", ["loop", "type", "time_ms"])
    op.create_index("events_of_loop_by_position", "events", ["loop", "position"])
    op.create_table(
        "positions",
        sa.Column("reader", sa.String, primary_key=True),
        sa.Column("topic", sa.String, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "predictions",
        sa.Column("prediction_id", sa.String, primary_key=True),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def _notices() -> None:
    op.create_table(
        "notices",
        sa.Column("notice_id", sa.String, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("loop", sa.String, nullable=False),
        sa.Column("episode", sa.String, nullable=False),
        sa.Column("time_ms", sa.BigInteger, nullable=False),
        sa.Column("wall_time_ms", sa.BigInteger, nullable=False),
        sa.Column("title", sa.String, nullable=False),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("event_id", sa.String, nullable=False),
        sa.Column("correlation_id", sa.String, nullable=False),
        sa.Column("put_wall_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "notice_deliveries",
        sa.Column("notice_id", sa.String, sa.ForeignKey("notices.notice_id"), primary_key=True),
        sa.Column("channel", sa.String, primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_wall_ms", sa.BigInteger, nullable=False),
        sa.Column("ended_wall_ms", sa.BigInteger),
        sa.Column("problem", sa.String, nullable=False),
    )
    op.create_index("notice_deliveries_due", "notice_deliveries", ["channel", "state", "due_wall_ms"])
