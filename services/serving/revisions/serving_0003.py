"""The agent stores what all Tritons report about a route."""

import sqlalchemy as sa
from alembic import op

revision = "serving_0003"
down_revision = "serving_0002"


def upgrade() -> None:
    """Make room for the reports."""
    op.create_table(
        "route_reports",
        sa.Column("loop", sa.String, primary_key=True),
        sa.Column("epoch", sa.BigInteger, primary_key=True),
        sa.Column("triton", sa.String, primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("report", sa.LargeBinary, nullable=False),
    )
