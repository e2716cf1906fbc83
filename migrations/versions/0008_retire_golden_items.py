"""Golden items can be retired: whoever set the question may have been wrong.

Safety: the version before this one keeps running while this migration is applied, so it only expands: a new
nullable column. Its workers still ask what is retired.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("golden_items", sa.Column("retired_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("golden_items", "retired_at")
