"""Creates the tables of registry, unless they exist: databases older than the first migration have them."""

import sqlalchemy as sa
from alembic import op

revision = "registry_0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "loops",
        sa.Column("loop", sa.String, primary_key=True),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("time_ms", sa.BigInteger, nullable=False),
        sa.Column("paused", sa.Boolean, nullable=False),
        sa.Column("champion_release_id", sa.String),
        sa.Column("open_release_id", sa.String),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("converged_epoch", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "releases",
        sa.Column("release_id", sa.String, primary_key=True),
        sa.Column("loop", sa.String, nullable=False),
        sa.Column("run_id", sa.String, nullable=False),
        sa.Column("request_id", sa.String, nullable=False),
        sa.Column("bundle_uri", sa.String, nullable=False),
        sa.Column("bundle_digest", sa.String, nullable=False),
        sa.Column("chain", sa.String, nullable=False),
        sa.Column("stage", sa.String, nullable=False),
        sa.Column("from_stage", sa.String, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("share", sa.Double, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("entered_ms", sa.BigInteger, nullable=False),
        sa.Column("approval_deadline_ms", sa.BigInteger),
        sa.Column("replaced", sa.String, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "mirror",
        sa.Column("release_id", sa.String, primary_key=True),
        sa.Column("loop", sa.String, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("mirrored_generation", sa.Integer, nullable=False),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_wall_ms", sa.BigInteger, nullable=False),
        sa.Column("problem", sa.String, nullable=False),
        if_not_exists=True,
    )
