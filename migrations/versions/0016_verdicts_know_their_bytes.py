"""Store with each verdict its bytes' digest and its policy version, so that one index finds it.

Safety: the version before this one keeps running while this migration is applied, so it only expands: two
nullable columns. A verdict recorded by that version lacks them, so re-uploads do not inherit it: a person
reviews them again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in ("sha256", "policy_digest"):
        op.add_column("verdicts", sa.Column(column, sa.Text))


def downgrade() -> None:
    for column in ("policy_digest", "sha256"):
        op.drop_column("verdicts", column)
