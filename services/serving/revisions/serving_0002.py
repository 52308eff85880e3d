"""The agent remembers its starts as a writer of the prediction log."""

import sqlalchemy as sa
from alembic import op

revision = "serving_0002"
down_revision = "serving_0001"


def upgrade() -> None:
    """Make room for them."""
    op.create_table(
        "writers",
        sa.Column("loop", sa.String, primary_key=True),
        sa.Column("start", sa.BigInteger, nullable=False),
        sa.Column("watermark_ms", sa.BigInteger),
    )
