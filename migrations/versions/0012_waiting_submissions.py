"""Record the unavailable resource that a submission waits for; `moderate status` shows it.

Safety: the version before this one keeps running while this migration is applied, so it only expands: a new
nullable column, and an index of the few rows that have it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("submissions", sa.Column("waits_for", sa.Text))


def downgrade() -> None:
    op.drop_column("submissions", "waits_for")
