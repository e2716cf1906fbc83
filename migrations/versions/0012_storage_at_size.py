"""Add the indexes that keep every list, count and claim bounded by what it returns.

Safety: the version before this one keeps running while this migration is applied. It only expands: indexes,
two nullable columns, and wider indexes in place of narrower ones that begin with the same column. A verdict
that the version before gives from now on lacks the two columns, so re-uploads do not inherit it: a person
looks at them again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0009"
branch_labels = None
depends_on = None

OPEN = "state = 'open'"
PENDING = "state = 'pending'"
GIVEN = "inherited_from IS NULL"
URGENT_FIRST = sa.text("priority DESC")
#: Name, table, columns and condition, None for every row.
ADDED = (
    ("ix_submissions_reference_created_at", "submissions", ["reference", "created_at"], None),
    ("ix_decisions_policy_action_created_at", "decisions", ["policy", "action", "created_at"], None),
    ("ix_decisions_sha256_created_at", "decisions", ["sha256", "created_at"], "sha256 IS NOT NULL"),
    ("ix_embeddings_model_digest_created_at", "embeddings", ["model_digest", "created_at"], None),
    ("ix_reviews_order", "reviews", ["state", URGENT_FIRST, "id"], None),
    ("ix_reviews_order_in_queue", "reviews", ["queue", "state", URGENT_FIRST, "id"], None),
    ("ix_reviews_order_of_kind", "reviews", ["kind", "state", URGENT_FIRST, "id"], None),
    ("ix_reviews_open_since", "reviews", ["kind", "created_at"], OPEN),
    ("ix_verdicts_given_with", "verdicts", ["given_with"], "given_with IS NOT NULL"),
    ("ix_verdicts_judged", "verdicts", ["sha256", "policy_digest", "id"], GIVEN),
    ("ix_verdicts_given_at", "verdicts", ["created_at"], GIVEN),
    ("ix_verdicts_given_by", "verdicts", ["reviewer", "created_at"], GIVEN),
    ("ix_outbox_state_id", "outbox", ["state", "id"], None),
    ("ix_outbox_pending", "outbox", ["created_at"], PENDING),
    ("ix_outbox_state_receiver_next_attempt_at", "outbox", ["state", "receiver", "next_attempt_at"], None),
)
#: What a wider index replaces.
REPLACED = (
    ("ix_submissions_reference", "submissions", ["reference"], None),
    ("ix_decisions_sha256", "decisions", ["sha256"], "sha256 IS NOT NULL"),
    ("ix_embeddings_created_at", "embeddings", ["created_at"], None),
    ("ix_reviews_state_priority", "reviews", ["state", "priority"], None),
    ("ix_reviews_queue_state_priority", "reviews", ["queue", "state", "priority"], None),
)


def upgrade() -> None:
    for column in ("sha256", "policy_digest"):
        op.add_column("verdicts", sa.Column(column, sa.Text))
    op.execute(
        "UPDATE verdicts SET (sha256, policy_digest) = (SELECT decisions.sha256, decisions.policy_digest "
        "FROM decisions WHERE decisions.id = verdicts.decision_id) WHERE inherited_from IS NULL"
    )
    for index in ADDED:
        _create(*index)
    for name, table, *_ in REPLACED:
        op.drop_index(name, table)


def downgrade() -> None:
    for index in REPLACED:
        _create(*index)
    for name, table, *_ in reversed(ADDED):
        op.drop_index(name, table)
    for column in ("policy_digest", "sha256"):
        op.drop_column("verdicts", column)


def _create(name: str, table: str, columns: list[str | sa.TextClause], condition: str | None) -> None:
    where = sa.text(condition) if condition else None
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
