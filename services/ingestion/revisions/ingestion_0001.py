"""Creates the tables of ingestion, unless they exist: databases older than the first migration have them."""

import sqlalchemy as sa
from alembic import op

revision = "ingestion_0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
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
