"""Record whether the bytes shown to a person, and behind a verdict, are still those that were judged.

Safety: the version before this one keeps running while this migration is applied, so it only expands: a new
nullable column, and one whose default is what that version assumes.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("reviews", sa.Column("picture_changed_at", sa.DateTime(timezone=True)))
    op.add_column("verdicts", sa.Column("picture_seen", sa.Boolean, nullable=False, server_default=sa.true()))


def downgrade() -> None:
    op.drop_column("verdicts", "picture_seen")
    op.drop_column("reviews", "picture_changed_at")
