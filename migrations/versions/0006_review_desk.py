"""Assign reviews to people; record their verdicts, reversals and repeated questions.

Safety: the version before this one keeps running while this migration is applied, so it only expands. Its
workers put reviews into the queue "default", without a deadline. A decision may have one review of each kind
from now on; the version before writes one in all.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import CheckConstraint, ForeignKeyConstraint, PrimaryKeyConstraint, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NAMES = sa.JSON().with_variant(JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _create_golden_items()
    _expand_reviews()
    _expand_verdicts()
    with op.batch_alter_table("outbox") as outbox:
        outbox.add_column(sa.Column("verdict_id", IDENTIFIER))
        outbox.create_foreign_key("fk_outbox_verdict_id", "verdicts", ["verdict_id"], ["id"])
    _create_sparse_index("decisions", "sha256")
    _create_review_skips()
    _create_reversals()
    _create_appeals()
    _create_audit_log()
    _create_views()


def downgrade() -> None:
    for view in ("review_queue", "current_decisions"):
        op.execute(f"DROP VIEW {view}")
    op.execute("DELETE FROM outbox WHERE verdict_id IS NOT NULL")
    with op.batch_alter_table("outbox") as outbox:
        outbox.drop_constraint("fk_outbox_verdict_id", type_="foreignkey")
        outbox.drop_column("verdict_id")
    # Verdicts that the version before would act on: those that only measure, and those that were reversed.
    op.execute("UPDATE verdicts SET effective = false WHERE id IN (SELECT verdict_id FROM reversals)")
    op.execute("UPDATE verdicts SET inherited_from = NULL")
    for table in ("audit_log", "appeals", "reversals", "review_skips"):
        op.drop_table(table)
    op.execute("DELETE FROM verdicts WHERE NOT effective")
    op.drop_index("ix_decisions_sha256", "decisions")
    _reduce_verdicts()
    _reduce_reviews()
    op.drop_table("golden_items")


def _create_golden_items() -> None:
    op.create_table(
        "golden_items",
        sa.Column("id", IDENTIFIER, autoincrement=True, nullable=False),
        sa.Column("decision_id", IDENTIFIER, nullable=False),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("labels", NAMES, nullable=False),
        sa.Column("added_by", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        PrimaryKeyConstraint("id", name="pk_golden_items"),
        ForeignKeyConstraint(["decision_id"], ["decisions.id"], name="fk_golden_items_decision_id"),
        UniqueConstraint("decision_id", name="uq_golden_items_decision_id"),
        CheckConstraint("action IN ('allow', 'block')", name="ck_golden_items_action"),
        sqlite_autoincrement=True,
    )


def _expand_reviews() -> None:
    with op.batch_alter_table("reviews") as reviews:
        reviews.add_column(sa.Column("queue", sa.Text, nullable=False, server_default="default"))
        reviews.add_column(sa.Column("deadline_at", TIME))
        reviews.add_column(sa.Column("for_lead", sa.Boolean, nullable=False, server_default=sa.false()))
        reviews.add_column(sa.Column("escalation", sa.Text))
        reviews.add_column(sa.Column("golden_id", IDENTIFIER))
        reviews.add_column(sa.Column("meant_for", sa.Text))
        reviews.add_column(sa.Column("claimed_by", sa.Text))
        reviews.add_column(sa.Column("claimed_until", TIME))
        reviews.add_column(sa.Column("fence", sa.Integer, nullable=False, server_default="0"))
        reviews.create_foreign_key("fk_reviews_golden_id", "golden_items", ["golden_id"], ["id"])
        reviews.drop_constraint("uq_reviews_decision_id", type_="unique")
        for name in ("state", "kind"):
            reviews.drop_constraint(f"ck_reviews_{name}", type_="check")
        reviews.create_check_constraint("ck_reviews_state", "state IN ('open', 'settled', 'withdrawn')")
        reviews.create_check_constraint(
            "ck_reviews_kind",
            "kind IN ('decision', 'audit', 'quarantine', 'appeal', 'second', 'disagreement', 'golden')",
        )
    op.create_index("ix_reviews_decision_id", "reviews", ["decision_id"])
    op.create_index("ix_reviews_queue_state_priority", "reviews", ["queue", "state", "priority"])
    _create_sparse_index("reviews", "claimed_by")
    for columns, meant in (
        (["decision_id", "kind"], "kind <> 'golden'"),
        (["golden_id", "meant_for"], "golden_id IS NOT NULL"),
    ):
        op.create_index(
            f"uq_reviews_{'_'.join(columns)}",
            "reviews",
            columns,
            unique=True,
            sqlite_where=sa.text(meant),
            postgresql_where=sa.text(meant),
        )


def _reduce_reviews() -> None:
    for name in (
        "uq_reviews_golden_id_meant_for",
        "uq_reviews_decision_id_kind",
        "ix_reviews_claimed_by",
        "ix_reviews_queue_state_priority",
        "ix_reviews_decision_id",
    ):
        op.drop_index(name, "reviews")
    # The version before has one review a decision, and none about anything else.
    op.execute(
        "DELETE FROM reviews WHERE kind NOT IN ('decision', 'audit', 'quarantine') OR state = 'withdrawn'"
        " OR EXISTS (SELECT 1 FROM reviews AS first WHERE first.decision_id = reviews.decision_id"
        " AND first.kind IN ('decision', 'audit', 'quarantine') AND first.id < reviews.id)"
    )
    with op.batch_alter_table("reviews") as reviews:
        reviews.drop_constraint("fk_reviews_golden_id", type_="foreignkey")
        for name in ("state", "kind"):
            reviews.drop_constraint(f"ck_reviews_{name}", type_="check")
        reviews.create_check_constraint("ck_reviews_state", "state IN ('open', 'settled')")
        reviews.create_check_constraint("ck_reviews_kind", "kind IN ('decision', 'audit', 'quarantine')")
        reviews.create_unique_constraint("uq_reviews_decision_id", ["decision_id"])
        for column in (
            *("fence", "claimed_until", "claimed_by", "meant_for", "golden_id", "escalation"),
            *("for_lead", "deadline_at", "queue"),
        ):
            reviews.drop_column(column)


def _expand_verdicts() -> None:
    with op.batch_alter_table("verdicts") as verdicts:
        verdicts.add_column(sa.Column("review_id", IDENTIFIER))
        verdicts.add_column(sa.Column("reason", sa.Text))
        verdicts.add_column(sa.Column("note", sa.Text))
        verdicts.add_column(sa.Column("given_with", sa.Text))
        verdicts.add_column(sa.Column("inherited_from", IDENTIFIER))
        verdicts.add_column(sa.Column("effective", sa.Boolean, nullable=False, server_default=sa.true()))
        verdicts.create_foreign_key("fk_verdicts_review_id", "reviews", ["review_id"], ["id"])
        verdicts.create_foreign_key("fk_verdicts_inherited_from", "verdicts", ["inherited_from"], ["id"])
    op.create_index("ix_verdicts_review_id", "verdicts", ["review_id"])
    _create_sparse_index("verdicts", "inherited_from")


def _reduce_verdicts() -> None:
    op.drop_index("ix_verdicts_inherited_from", "verdicts")
    op.drop_index("ix_verdicts_review_id", "verdicts")
    with op.batch_alter_table("verdicts") as verdicts:
        verdicts.drop_constraint("fk_verdicts_inherited_from", type_="foreignkey")
        verdicts.drop_constraint("fk_verdicts_review_id", type_="foreignkey")
        for column in ("effective", "inherited_from", "given_with", "note", "reason", "review_id"):
            verdicts.drop_column(column)


def _create_sparse_index(table: str, column: str) -> None:
    present = sa.text(f"{column} IS NOT NULL")
    name = f"ix_{table}_{column}"
    op.create_index(name, table, [column], sqlite_where=present, postgresql_where=present)


def _create_review_skips() -> None:
    op.create_table(
        "review_skips",
        sa.Column("review_id", IDENTIFIER, autoincrement=False, nullable=False),
        sa.Column("reviewer", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        PrimaryKeyConstraint("review_id", "reviewer", name="pk_review_skips"),
        ForeignKeyConstraint(["review_id"], ["reviews.id"], name="fk_review_skips_review_id"),
    )


def _create_reversals() -> None:
    op.create_table(
        "reversals",
        sa.Column("verdict_id", IDENTIFIER, autoincrement=False, nullable=False),
        sa.Column("reviewer", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        PrimaryKeyConstraint("verdict_id", name="pk_reversals"),
        ForeignKeyConstraint(["verdict_id"], ["verdicts.id"], name="fk_reversals_verdict_id"),
    )


def _create_appeals() -> None:
    op.create_table(
        "appeals",
        sa.Column("id", IDENTIFIER, autoincrement=True, nullable=False),
        sa.Column("decision_id", IDENTIFIER, nullable=False),
        sa.Column("review_id", IDENTIFIER, nullable=False),
        sa.Column("statement", sa.Text, nullable=False),
        sa.Column("appealed_action", sa.String(16), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        PrimaryKeyConstraint("id", name="pk_appeals"),
        ForeignKeyConstraint(["decision_id"], ["decisions.id"], name="fk_appeals_decision_id"),
        ForeignKeyConstraint(["review_id"], ["reviews.id"], name="fk_appeals_review_id"),
        UniqueConstraint("decision_id", name="uq_appeals_decision_id"),
        UniqueConstraint("review_id", name="uq_appeals_review_id"),
        CheckConstraint("appealed_action IN ('allow', 'block')", name="ck_appeals_appealed_action"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_appeals_created_at", "appeals", ["created_at"])


def _create_audit_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", IDENTIFIER, autoincrement=True, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("review_id", IDENTIFIER),
        sa.Column("submission_id", sa.Text),
        sa.Column("details", NAMES, nullable=False),
        PrimaryKeyConstraint("id", name="pk_audit_log"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_log_at", "audit_log", ["at"])
    op.create_index("ix_audit_log_actor_at", "audit_log", ["actor", "at"])
    op.create_index("ix_audit_log_submission_id_at", "audit_log", ["submission_id", "at"])
    _create_sparse_index("audit_log", "review_id")


def _create_views() -> None:
    """Create the views for people who query in SQL; migrations/README.md lists the columns."""
    op.execute(
        """
        CREATE VIEW review_queue AS
        SELECT
            reviews.id AS review_id,
            reviews.queue,
            reviews.kind,
            reviews.priority,
            decisions.severity,
            decisions.labels,
            decisions.reason,
            reviews.created_at,
            reviews.deadline_at,
            reviews.for_lead,
            reviews.escalation,
            CASE WHEN reviews.claimed_until > CURRENT_TIMESTAMP THEN reviews.claimed_by END AS claimed_by,
            reviews.claimed_until,
            reviews.decision_id,
            decisions.policy,
            decisions.submission_id,
            submissions.reference
        FROM reviews
        JOIN decisions ON decisions.id = reviews.decision_id
        JOIN submissions ON submissions.id = decisions.submission_id
        WHERE reviews.state = 'open' AND reviews.kind <> 'golden'
        """
    )
    op.execute(
        """
        CREATE VIEW current_decisions AS
        SELECT
            decisions.submission_id,
            submissions.reference,
            CASE WHEN verdicts.id IS NULL THEN decisions.action ELSE verdicts.action END AS action,
            CASE WHEN verdicts.id IS NULL THEN decisions.labels ELSE verdicts.labels END AS labels,
            CASE WHEN verdicts.id IS NULL THEN 'policy' ELSE 'person' END AS decided_by,
            CASE WHEN verdicts.id IS NULL THEN decisions.reason ELSE verdicts.reason END AS reason,
            CASE WHEN verdicts.id IS NULL THEN decisions.created_at ELSE verdicts.created_at END
                AS decided_at,
            decisions.policy,
            decisions.id AS decision_id,
            verdicts.id AS verdict_id,
            verdicts.inherited_from
        FROM decisions
        JOIN submissions ON submissions.id = decisions.submission_id
        LEFT JOIN verdicts
            ON verdicts.submission_id = decisions.submission_id
            AND verdicts.effective
            AND NOT EXISTS (SELECT 1 FROM reversals WHERE reversals.verdict_id = verdicts.id)
            AND NOT EXISTS (
                SELECT 1 FROM verdicts AS later
                WHERE later.submission_id = verdicts.submission_id
                AND later.id > verdicts.id
                AND later.effective
                AND NOT EXISTS (SELECT 1 FROM reversals WHERE reversals.verdict_id = later.id)
            )
        WHERE NOT EXISTS (
            SELECT 1 FROM decisions AS later
            WHERE later.submission_id = decisions.submission_id AND later.id > decisions.id
        )
        """
    )
