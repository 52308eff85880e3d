"""Events that are handled and sent are forgotten after a time; the position in each topic stays."""

import sqlalchemy as sa
from alembic import op

revision = "runner_0002"
down_revision = "runner_0001"


def upgrade() -> None:
    """Create the table of positions, and an index to find old events."""
    op.create_table(
        "handled_positions",
        sa.Column("topic", sa.String, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("topic_id", sa.String, nullable=False),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
    )
    op.create_index("inbox_handled", "inbox", ["handled_wall_ms"])
