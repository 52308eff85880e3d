"""Creates the tables of evaluation, unless they exist: databases older than the first migration have them."""

import sqlalchemy as sa
from alembic import op

revision = "evaluation_0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "candidates",
        sa.Column("release_id", sa.String, primary_key=True),
        sa.Column("loop", sa.String, nullable=False),
        sa.Column("run_id", sa.String, nullable=False),
        sa.Column("bundle_uri", sa.String, nullable=False),
        sa.Column("bundle_digest", sa.String, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "stages",
        sa.Column("release_id", sa.String, primary_key=True),
        sa.Column("loop", sa.String, nullable=False),
        sa.Column("stage", sa.String, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("entered_ms", sa.BigInteger, nullable=False),
        sa.Column("champion_release_id", sa.String, nullable=False),
        sa.Column("chain", sa.String, nullable=False),
        sa.Column("event_id", sa.String, nullable=False),
        sa.Column("ended", sa.Integer, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "champions",
        sa.Column("loop", sa.String, primary_key=True),
        sa.Column("release_id", sa.String, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "paired_blocks",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("loop", sa.String, nullable=False),
        sa.Column("window_event_id", sa.String, nullable=False),
        sa.Column("champion_release_id", sa.String, nullable=False),
        sa.Column("challenger_release_id", sa.String, nullable=False),
        sa.Column("block_start_ms", sa.BigInteger, nullable=False),
        sa.Column("slice", sa.String, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("champion_loss", sa.Double, nullable=False),
        sa.Column("challenger_loss", sa.Double, nullable=False),
        if_not_exists=True,
    )
    op.create_index("stages_by_loop", "stages", ["loop", "ended"], if_not_exists=True)
    pair = ["challenger_release_id", "champion_release_id", "block_start_ms"]
    op.create_index("paired_by_pair", "paired_blocks", pair, if_not_exists=True)
