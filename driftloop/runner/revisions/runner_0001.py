"""Creates the inbox and outbox tables, unless they exist: databases older than the first migration have them."""

import sqlalchemy as sa
from alembic import op

revision = "runner_0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "inbox",
        sa.Column("event_id", sa.String, primary_key=True),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("handled_wall_ms", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "outbox",
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("event_id", sa.String, unique=True, nullable=False),
        sa.Column("topic", sa.String, nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("headers", sa.LargeBinary, nullable=False),
        sa.Column("sent_wall_ms", sa.BigInteger),
        if_not_exists=True,
    )
    op.create_index("outbox_unsent", "outbox", ["sent_wall_ms", "position"], if_not_exists=True)
