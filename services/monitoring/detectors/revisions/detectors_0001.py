"""Creates the tables of the detectors, unless they exist: databases older than the first migration have them."""

import sqlalchemy as sa
from alembic import op

revision = "detectors_0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "states",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "gaps",
        sa.Column("loop", sa.String, primary_key=True),
        sa.Column("window_id", sa.String, nullable=False),
        if_not_exists=True,
    )
