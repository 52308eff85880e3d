"""Creates the tables of monitoring, unless they exist: databases older than the first migration have them."""

import sqlalchemy as sa
from alembic import op

revision = "monitoring_0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "predictions",
        sa.Column("loop", sa.String, primary_key=True),
        sa.Column("prediction_id", sa.String, primary_key=True),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("decision_ms", sa.BigInteger, nullable=False),
        sa.Column("visible_ms", sa.BigInteger, nullable=False),
        sa.Column("record", sa.LargeBinary),
        if_not_exists=True,
    )
    op.create_table(
        "outcomes",
        sa.Column("loop", sa.String, primary_key=True),
        sa.Column("row_id", sa.String, primary_key=True),
        sa.Column("event_id", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("event_ms", sa.BigInteger, nullable=False),
        sa.Column("visible_ms", sa.BigInteger, nullable=False),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("kept", sa.Integer, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "releases",
        sa.Column("loop", sa.String, primary_key=True),
        sa.Column("release_id", sa.String, primary_key=True),
        sa.Column("uri", sa.String, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("stage", sa.String, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "checkpoint",
        sa.Column("one", sa.Integer, primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
        if_not_exists=True,
    )
    op.create_index("predictions_visible", "predictions", ["loop", "visible_ms"], if_not_exists=True)
    op.create_index("outcomes_visible", "outcomes", ["loop", "visible_ms"], if_not_exists=True)
