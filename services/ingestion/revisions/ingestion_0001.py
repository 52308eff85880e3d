"""The tables of ingestion, where a database does not have them yet: one from before there were revisions has."""

import sqlalchemy as sa
from alembic import op

revision = "ingestion_0001"
down_revision = None


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "taken_batches",
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("content", sa.Text, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "checkpoints",
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("content", sa.Text, nullable=False),
        if_not_exists=True,
    )
