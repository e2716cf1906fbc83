"""Add the indexes that keep every list, count and claim bounded by what it returns.

Safety: the version before this one keeps running while this migration is applied. It only expands: indexes,
built while others write; a backfill of the older verdicts' bytes and policy versions, in batches; and wider
indexes that replace narrower ones with the same first column.
"""

from alembic import op

from worker.store.upgrade.migration_steps import Steps

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

OPEN = "state = 'open'"
PENDING = "state = 'pending'"
GIVEN = "inherited_from IS NULL"
WITH_BYTES = "sha256 IS NOT NULL"
#: The version before this one leaves `published_at` and `waits_for` set on what it decides.
UNDECIDED = "publish_at IS NOT NULL"
WITHOUT_POLICY = f"{UNDECIDED} AND policy_digest IS NULL AND error IS NOT NULL"
QUEUED = f"published_at IS NOT NULL AND {UNDECIDED}"
WAITING = f"waits_for IS NOT NULL AND {UNDECIDED}"
#: Name, table, columns, and condition; an empty one means all rows.
ADDED = (
    ("ix_submissions_published_at", "submissions", "published_at", QUEUED),
    (
        "ix_submissions_to_be_published",
        "submissions",
        "publish_at",
        "published_at IS NULL AND publish_at IS NOT NULL",
    ),
    ("ix_submissions_waiting_for_policy", "submissions", "policy, created_at", WITHOUT_POLICY),
    ("ix_submissions_waits_for", "submissions", "waits_for, created_at", WAITING),
    ("ix_submissions_reference_created_at", "submissions", "reference, created_at", ""),
    ("ix_decisions_policy_action_created_at", "decisions", "policy, action, created_at", ""),
    ("ix_decisions_sha256_created_at", "decisions", "sha256, created_at", WITH_BYTES),
    ("ix_embeddings_model_digest_created_at", "embeddings", "model_digest, created_at", ""),
    ("ix_reviews_order", "reviews", "state, priority DESC, id", ""),
    ("ix_reviews_order_in_queue", "reviews", "queue, state, priority DESC, id", ""),
    ("ix_reviews_order_of_kind", "reviews", "kind, state, priority DESC, id", ""),
    ("ix_reviews_open_since", "reviews", "kind, created_at", OPEN),
    ("ix_verdicts_given_with", "verdicts", "given_with", "given_with IS NOT NULL"),
    ("ix_verdicts_judged", "verdicts", "sha256, policy_digest, id", GIVEN),
    ("ix_verdicts_given_at", "verdicts", "created_at", GIVEN),
    ("ix_verdicts_given_by", "verdicts", "reviewer, created_at", GIVEN),
    ("ix_outbox_state_id", "outbox", "state, id", ""),
    ("ix_outbox_pending", "outbox", "created_at", PENDING),
    ("ix_outbox_state_receiver_next_attempt_at", "outbox", "state, receiver, next_attempt_at", ""),
)
#: Indexes that a wider one replaces.
REPLACED = (
    ("ix_submissions_reference", "submissions", "reference", ""),
    ("ix_decisions_sha256", "decisions", "sha256", WITH_BYTES),
    ("ix_embeddings_created_at", "embeddings", "created_at", ""),
    ("ix_reviews_state_priority", "reviews", "state, priority", ""),
    ("ix_reviews_queue_state_priority", "reviews", "queue, state, priority", ""),
)


def prepare(steps: Steps) -> None:
    steps.in_batches(
        "UPDATE verdicts SET (sha256, policy_digest) = (SELECT decisions.sha256, decisions.policy_digest"
        " FROM decisions WHERE decisions.id = verdicts.decision_id) WHERE id IN (SELECT id FROM verdicts"
        " WHERE policy_digest IS NULL AND picture_seen AND inherited_from IS NULL LIMIT :rows)"
    )
    for name, table, columns, condition in ADDED:
        steps.create_index(name, table, columns, where=condition)


def upgrade() -> None:
    for name, table, *_ in REPLACED:
        op.drop_index(name, table)


def downgrade() -> None:
    for name, table, columns, condition in REPLACED:
        op.execute(f"CREATE INDEX {name} ON {table} ({columns}){f' WHERE {condition}' if condition else ''}")
    for name, table, *_ in reversed(ADDED):
        op.drop_index(name, table)
