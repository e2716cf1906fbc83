"""Record policies in force by worker, shadow decisions, and verdicts.

Safety: the version before this one keeps running while this migration is applied, so it only expands.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import CheckConstraint, ForeignKeyConstraint, PrimaryKeyConstraint, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NAMES = sa.JSON().with_variant(JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("submissions", sa.Column("source", NAMES))
    op.add_column("policy_versions", sa.Column("last_in_force_at", TIME))
    op.add_column("decisions", sa.Column("held_back", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("decisions", sa.Column("audit_probability", sa.Double))
    with op.batch_alter_table("reviews") as reviews:
        reviews.add_column(sa.Column("kind", sa.Text, nullable=False, server_default="decision"))
        reviews.create_check_constraint("ck_reviews_kind", "kind IN ('decision', 'audit')")
    _create_policy_states()
    _create_shadow_decisions()
    _create_verdicts()


def downgrade() -> None:
    for table in ("verdicts", "shadow_decisions", "policy_states"):
        op.drop_table(table)
    with op.batch_alter_table("reviews") as reviews:
        reviews.drop_constraint("ck_reviews_kind", type_="check")
        reviews.drop_column("kind")
    op.drop_column("decisions", "audit_probability")
    op.drop_column("decisions", "held_back")
    op.drop_column("policy_versions", "last_in_force_at")
    op.drop_column("submissions", "source")


def _create_policy_states() -> None:
    op.create_table(
        "policy_states",
        sa.Column("process", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("digest", sa.Text),
        sa.Column("shadow", sa.Boolean, nullable=False),
        sa.Column("in_force_since", TIME),
        sa.Column("refused_at", TIME),
        sa.Column("refusal", sa.Text),
        sa.Column("seen_at", TIME, nullable=False),
        PrimaryKeyConstraint("process", "policy", name="pk_policy_states"),
    )
    op.create_index("ix_policy_states_seen_at", "policy_states", ["seen_at"])


def _create_shadow_decisions() -> None:
    op.create_table(
        "shadow_decisions",
        sa.Column("id", IDENTIFIER, autoincrement=True, nullable=False),
        sa.Column("submission_id", sa.Text, nullable=False),
        sa.Column("decision_id", IDENTIFIER, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("policy_digest", sa.Text, nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("labels", NAMES, nullable=False),
        sa.Column("severity", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        PrimaryKeyConstraint("id", name="pk_shadow_decisions"),
        ForeignKeyConstraint(["submission_id"], ["submissions.id"], name="fk_shadow_decisions_submission_id"),
        ForeignKeyConstraint(["decision_id"], ["decisions.id"], name="fk_shadow_decisions_decision_id"),
        ForeignKeyConstraint(
            ["policy_digest"], ["policy_versions.digest"], name="fk_shadow_decisions_policy_digest"
        ),
        UniqueConstraint(
            "submission_id", "policy_digest", name="uq_shadow_decisions_submission_id_policy_digest"
        ),
        CheckConstraint("action IN ('allow', 'review', 'block')", name="ck_shadow_decisions_action"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_shadow_decisions_policy_created_at", "shadow_decisions", ["policy", "created_at"])
    op.create_index("ix_shadow_decisions_decision_id", "shadow_decisions", ["decision_id"])


def _create_verdicts() -> None:
    op.create_table(
        "verdicts",
        sa.Column("id", IDENTIFIER, autoincrement=True, nullable=False),
        sa.Column("submission_id", sa.Text, nullable=False),
        sa.Column("decision_id", IDENTIFIER, nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("labels", NAMES, nullable=False),
        sa.Column("reviewer", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        PrimaryKeyConstraint("id", name="pk_verdicts"),
        ForeignKeyConstraint(["submission_id"], ["submissions.id"], name="fk_verdicts_submission_id"),
        ForeignKeyConstraint(["decision_id"], ["decisions.id"], name="fk_verdicts_decision_id"),
        CheckConstraint("action IN ('allow', 'block')", name="ck_verdicts_action"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_verdicts_submission_id_created_at", "verdicts", ["submission_id", "created_at"])
    op.create_index("ix_verdicts_decision_id", "verdicts", ["decision_id"])
    op.create_index("ix_verdicts_created_at", "verdicts", ["created_at"])
