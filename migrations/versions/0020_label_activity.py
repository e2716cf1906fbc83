"""Count by the hour what each policy version flags, and how its labels' scores are distributed.

Safety: the version before this one keeps running while this migration is applied, so it only expands: a new
table, which that version does not know. Uploads that it judges are not counted.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "label_activity",
        sa.Column("hour", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("policy_digest", sa.Text, primary_key=True),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("uploads", sa.BigInteger, nullable=False),
        sa.Column("labels", sa.JSON().with_variant(JSONB(), "postgresql"), nullable=False),
        sa.Column("counts", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("label_activity")
