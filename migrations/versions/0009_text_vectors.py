"""Store text vectors: a restarted worker reads the vectors of its policies' phrases instead of encoding them.

Safety: the version before this one keeps running while this migration is applied, so it only expands: a new
table, which that version does not know.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "text_vectors",
        sa.Column("text_sha256", sa.Text, primary_key=True),
        sa.Column("model_digest", sa.Text, primary_key=True),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_text_vectors_used_at", "text_vectors", ["used_at"])


def downgrade() -> None:
    op.drop_table("text_vectors")
