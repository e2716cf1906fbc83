"""Pin submissions to a policy version, record what is queued, keep what could not be claimed or decided.

Safety: the version before this one keeps running while this migration is applied, so it only expands:
nullable columns, a table, and a column that may be NULL from now on. Its workers pin nothing,
republish what is queued, and fail to deliver `submission.refused`; workers of this version then retry it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("submissions", sa.Column("published_at", TIME))
    op.add_column("submissions", sa.Column("refuse_at", TIME))
    op.add_column("submissions", sa.Column("policy_digest", sa.Text))
    op.add_column("submissions", sa.Column("again", sa.Text))
    op.add_column("outbox", sa.Column("problem", sa.Text))
    with op.batch_alter_table("outbox") as outbox:
        outbox.alter_column("decision_id", existing_type=IDENTIFIER, nullable=True)
    op.create_table(
        "set_aside_messages",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("submission_id", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("failing_since", TIME, nullable=False),
        sa.Column("publish_at", TIME, nullable=False),
    )
    op.create_index("ix_set_aside_messages_publish_at", "set_aside_messages", ["publish_at"])


def downgrade() -> None:
    op.drop_table("set_aside_messages")
    op.execute("DELETE FROM outbox WHERE decision_id IS NULL")
    with op.batch_alter_table("outbox") as outbox:
        outbox.alter_column("decision_id", existing_type=IDENTIFIER, nullable=False)
    op.drop_column("outbox", "problem")
    for column in ("again", "policy_digest", "refuse_at", "published_at"):
        op.drop_column("submissions", column)
