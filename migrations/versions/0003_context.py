"""Store the context of a submission, which is returned with its decision.

Safety: the version before this one keeps running while this migration is applied, so it only expands.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NAMES = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column("submissions", sa.Column("context", NAMES))


def downgrade() -> None:
    op.drop_column("submissions", "context")
