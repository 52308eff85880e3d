"""An instance claims a release before it copies it to MLflow."""

import sqlalchemy as sa
from alembic import op

revision = "registry_0002"
down_revision = "registry_0001"


def upgrade() -> None:
    """Add the columns of the claim."""
    op.add_column("mirror", sa.Column("claimed_by", sa.String, nullable=False, server_default=""))
    op.add_column("mirror", sa.Column("claimed_until_wall_ms", sa.BigInteger, nullable=False, server_default="0"))
