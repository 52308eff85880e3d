"""The tables of the detectors, where a database does not have them yet: one from before there were revisions has."""

import sqlalchemy as sa
from alembic import op

revision = "detectors_0001"
down_revision = None


def upgrade() -> None:
    """Create them."""
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
