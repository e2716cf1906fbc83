"""Record the text of a submission, its vector, and what it added to each score.

Safety: the version before this one keeps running while this migration is applied, so it only expands: a
nullable column, a column with a default, and a new table. That version has no texts and ignores the table.
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("submissions", sa.Column("text", sa.Text))
    op.add_column("label_scores", sa.Column("text_added", sa.Double, nullable=False, server_default="0"))
    op.create_table(
        "caption_vectors",
        sa.Column("submission_id", sa.Text, nullable=False),
        sa.Column("model_digest", sa.Text, nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("submission_id", "model_digest", name="pk_caption_vectors"),
        sa.ForeignKeyConstraint(
            ["submission_id"], ["submissions.id"], name="fk_caption_vectors_submission_id"
        ),
    )


def downgrade() -> None:
    op.drop_table("caption_vectors")
    op.drop_column("label_scores", "text_added")
    op.drop_column("submissions", "text")
