"""The later of a pause and a resume counts, in whatever order they arrive."""

import sqlalchemy as sa
from alembic import op

revision = "registry_0003"
down_revision = "registry_0002"


def upgrade() -> None:
    """Add the wall time of the newest one."""
    op.add_column("loops", sa.Column("paused_wall_ms", sa.BigInteger, nullable=False, server_default="0"))
