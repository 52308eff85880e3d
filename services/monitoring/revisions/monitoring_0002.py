"""Closed windows are kept while an outcome of theirs may be corrected."""

import sqlalchemy as sa
from alembic import op

revision = "monitoring_0002"
down_revision = "monitoring_0001"


def upgrade() -> None:
    """Make room for them."""
    op.create_table(
        "windows",
        sa.Column("loop", sa.String, primary_key=True),
        sa.Column("end_ms", sa.BigInteger, primary_key=True),
        sa.Column("start_ms", sa.BigInteger, nullable=False),
        sa.Column("sums", sa.Text, nullable=False),
        sa.Column("rows", sa.LargeBinary, nullable=False),
    )
