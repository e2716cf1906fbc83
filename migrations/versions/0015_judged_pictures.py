"""Whether the bytes that were judged are still what a person is shown, and what a verdict rests on.

Safety: the version before this one keeps running while this migration is applied, so it only expands: a new
nullable column and one with a default, which say of what that version writes what it takes for granted.
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
