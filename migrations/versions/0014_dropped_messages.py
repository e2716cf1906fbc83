"""Keep the newest messages that no worker can process, for some days, so that people can inspect them.

Safety: the version before this one keeps running while this migration is applied, so it only expands: a new
table, which that version does not know.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dropped_messages",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("problem", sa.Text, nullable=False),
        sa.Column("excerpt", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("dropped_at", sa.DateTime(timezone=True), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_dropped_messages_dropped_at", "dropped_messages", ["dropped_at"])


def downgrade() -> None:
    op.drop_table("dropped_messages")
