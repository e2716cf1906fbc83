"""Record claims and attempts of submissions, and events to deliver to the platform.

Safety: the version before this one keeps running while this migration is applied, so it only expands. Its
workers claim nothing: their decisions are still made once, but send no events.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import CheckConstraint, ForeignKeyConstraint, PrimaryKeyConstraint, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NAMES = sa.JSON().with_variant(JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)
#: Columns that are NULL in most rows.
SPARSE = ("publish_at", "claimed_by")
#: Frequent queries of operators: column, and condition of the rows.
ASKED_FOR = {
    "ix_submissions_undecided": ("created_at", "state = 'accepted'"),
    "ix_submissions_tried_again": ("updated_at", "attempts > 1"),
}


def upgrade() -> None:
    op.add_column("submissions", sa.Column("callback", NAMES))
    op.add_column("submissions", sa.Column("attempts", sa.Integer, nullable=False, server_default="0"))
    op.add_column("submissions", sa.Column("crashes", sa.Integer, nullable=False, server_default="0"))
    op.add_column("submissions", sa.Column("claimed_by", sa.Text))
    op.add_column("submissions", sa.Column("claimed_until", TIME))
    for column in SPARSE:
        present = sa.text(f"{column} IS NOT NULL")
        name = f"ix_submissions_{column}"
        op.create_index(name, "submissions", [column], sqlite_where=present, postgresql_where=present)
    for name, (column, condition) in ASKED_FOR.items():
        where = sa.text(condition)
        op.create_index(name, "submissions", [column], sqlite_where=where, postgresql_where=where)
    _allow_kinds("'decision', 'audit', 'quarantine'")
    _create_submission_conflicts()
    _create_outbox()


def downgrade() -> None:
    op.drop_table("outbox")
    op.drop_table("submission_conflicts")
    op.execute("UPDATE reviews SET kind = 'decision' WHERE kind = 'quarantine'")
    _allow_kinds("'decision', 'audit'")
    for name in (*(f"ix_submissions_{column}" for column in SPARSE), *ASKED_FOR):
        op.drop_index(name, "submissions")
    for column in ("claimed_until", "claimed_by", "crashes", "attempts", "callback"):
        op.drop_column("submissions", column)


def _allow_kinds(kinds: str) -> None:
    with op.batch_alter_table("reviews") as reviews:
        reviews.drop_constraint("ck_reviews_kind", type_="check")
        reviews.create_check_constraint("ck_reviews_kind", f"kind IN ({kinds})")


def _create_submission_conflicts() -> None:
    op.create_table(
        "submission_conflicts",
        sa.Column("id", IDENTIFIER, autoincrement=True, nullable=False),
        sa.Column("submission_id", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("policy", sa.Text),
        sa.Column("sha256", sa.Text),
        sa.Column("source", NAMES),
        sa.Column("created_at", TIME, nullable=False),
        PrimaryKeyConstraint("id", name="pk_submission_conflicts"),
        ForeignKeyConstraint(
            ["submission_id"], ["submissions.id"], name="fk_submission_conflicts_submission_id"
        ),
        UniqueConstraint(
            "submission_id", "fingerprint", name="uq_submission_conflicts_submission_id_fingerprint"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_submission_conflicts_created_at", "submission_conflicts", ["created_at"])


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", IDENTIFIER, autoincrement=True, nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("submission_id", sa.Text, nullable=False),
        sa.Column("decision_id", IDENTIFIER, nullable=False),
        sa.Column("callback", NAMES, nullable=False),
        sa.Column("receiver", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("next_attempt_at", TIME),
        sa.Column("error", sa.Text),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("settled_at", TIME),
        PrimaryKeyConstraint("id", name="pk_outbox"),
        ForeignKeyConstraint(["submission_id"], ["submissions.id"], name="fk_outbox_submission_id"),
        ForeignKeyConstraint(["decision_id"], ["decisions.id"], name="fk_outbox_decision_id"),
        UniqueConstraint("event_id", name="uq_outbox_event_id"),
        CheckConstraint("state IN ('pending', 'delivered', 'given_up')", name="ck_outbox_state"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_state_next_attempt_at", "outbox", ["state", "next_attempt_at"])
    op.create_index("ix_outbox_submission_id", "outbox", ["submission_id"])
