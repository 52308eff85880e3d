"""An instance claims a notice before it sends it."""

import sqlalchemy as sa
from alembic import op

revision = "control_0002"
down_revision = "control_0001"


def upgrade() -> None:
    """Add the columns of the claim."""
    claimed_until = sa.Column("claimed_until_wall_ms", sa.BigInteger, nullable=False, server_default="0")
    op.add_column("notice_deliveries", sa.Column("claimed_by", sa.String, nullable=False, server_default=""))
    op.add_column("notice_deliveries", claimed_until)
