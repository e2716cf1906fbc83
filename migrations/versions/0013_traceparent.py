"""Store the trace of a submission, for its log lines and events.

Safety: the version before this one keeps running while this migration is applied, so it only expands: a new
nullable column without a default, which neither database rewrites the table for.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("submissions", sa.Column("traceparent", sa.Text))


def downgrade() -> None:
    op.drop_column("submissions", "traceparent")
