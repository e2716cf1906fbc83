"""Add sequence numbers that order the changes of a submission, and store the state that an event reports.

Safety: the version before this one keeps running while this migration is applied, so it only expands: a
column with a constant default, which both databases add without touching a row, and nullable ones. Events
that the version before writes lack the state; it is read from the database when they are delivered.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("submissions", sa.Column("sequence", sa.Integer, nullable=False, server_default="0"))
    op.add_column("outbox", sa.Column("sequence", sa.Integer))
    op.add_column("outbox", sa.Column("action", sa.String(16)))
    op.add_column("outbox", sa.Column("decided_by", sa.Text))


def downgrade() -> None:
    for column in ("decided_by", "action", "sequence"):
        op.drop_column("outbox", column)
    op.drop_column("submissions", "sequence")
