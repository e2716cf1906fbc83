"""Let golden items be retired, since their known answer may be wrong; add an index of delivered events.

Safety: the version before this one keeps running while this migration is applied, so it only expands: a new
nullable column, an index. Its workers still use retired items, and delete no events.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("golden_items", sa.Column("retired_at", sa.DateTime(timezone=True)))
    delivered = sa.text("state = 'delivered'")
    op.create_index(
        "ix_outbox_delivered", "outbox", ["settled_at"], sqlite_where=delivered, postgresql_where=delivered
    )


def downgrade() -> None:
    op.drop_index("ix_outbox_delivered", "outbox")
    op.drop_column("golden_items", "retired_at")
