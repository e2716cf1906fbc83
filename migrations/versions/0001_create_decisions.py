"""Create the tables that a decision needs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import CheckConstraint, ForeignKeyConstraint, PrimaryKeyConstraint, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NAMES = sa.JSON().with_variant(JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _create_submissions()
    _create_policy_versions()
    _create_decisions()
    _create_label_scores()
    _create_embeddings()
    _create_reviews()


def downgrade() -> None:
    for table in ("reviews", "embeddings", "label_scores", "decisions", "policy_versions", "submissions"):
        op.drop_table(table)


def _create_submissions() -> None:
    op.create_table(
        "submissions",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("policy", sa.Text),
        sa.Column("sha256", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        PrimaryKeyConstraint("id", name="pk_submissions"),
        CheckConstraint("state IN ('decided', 'refused')", name="ck_submissions_state"),
    )
    op.create_index("ix_submissions_state_updated_at", "submissions", ["state", "updated_at"])


def _create_policy_versions() -> None:
    op.create_table(
        "policy_versions",
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("first_seen_at", TIME, nullable=False),
        PrimaryKeyConstraint("digest", name="pk_policy_versions"),
    )


def _create_decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("id", IDENTIFIER, autoincrement=True, nullable=False),
        sa.Column("submission_id", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("policy_digest", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("model_digest", sa.Text, nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("labels", NAMES, nullable=False),
        sa.Column("severity", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text),
        sa.Column("format", sa.Text),
        sa.Column("width", sa.Integer),
        sa.Column("height", sa.Integer),
        sa.Column("frames", sa.Integer),
        sa.Column("created_at", TIME, nullable=False),
        PrimaryKeyConstraint("id", name="pk_decisions"),
        ForeignKeyConstraint(["submission_id"], ["submissions.id"], name="fk_decisions_submission_id"),
        ForeignKeyConstraint(
            ["policy_digest"], ["policy_versions.digest"], name="fk_decisions_policy_digest"
        ),
        UniqueConstraint("submission_id", "policy_digest", name="uq_decisions_submission_id_policy_digest"),
        CheckConstraint("action IN ('allow', 'review', 'block')", name="ck_decisions_action"),
        CheckConstraint("severity BETWEEN 0 AND 5", name="ck_decisions_severity"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_decisions_created_at", "decisions", ["created_at"])
    op.create_index("ix_decisions_action_created_at", "decisions", ["action", "created_at"])


def _create_label_scores() -> None:
    op.create_table(
        "label_scores",
        sa.Column("decision_id", IDENTIFIER, autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("flagged", sa.Boolean, nullable=False),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("prompt", sa.Text, nullable=False),
        sa.Column("prompt_cosine", sa.Double, nullable=False),
        sa.Column("background", sa.Text, nullable=False),
        sa.Column("background_cosine", sa.Double, nullable=False),
        sa.Column("frame", sa.Integer, nullable=False),
        PrimaryKeyConstraint("decision_id", "position", name="pk_label_scores"),
        ForeignKeyConstraint(["decision_id"], ["decisions.id"], name="fk_label_scores_decision_id"),
        CheckConstraint("score BETWEEN 0 AND 1", name="ck_label_scores_score"),
    )
    op.create_index(
        "ix_label_scores_flagged",
        "label_scores",
        ["label", "decision_id"],
        sqlite_where=sa.text("flagged = 1"),
        postgresql_where=sa.text("flagged"),
    )


def _create_embeddings() -> None:
    op.create_table(
        "embeddings",
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("model_digest", sa.Text, nullable=False),
        sa.Column("format", sa.Text, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("frames", sa.Integer, nullable=False),
        sa.Column("dimension", sa.Integer, nullable=False),
        sa.Column("vectors", sa.LargeBinary, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        PrimaryKeyConstraint("sha256", "model_digest", name="pk_embeddings"),
    )
    op.create_index("ix_embeddings_created_at", "embeddings", ["created_at"])


def _create_reviews() -> None:
    op.create_table(
        "reviews",
        sa.Column("id", IDENTIFIER, autoincrement=True, nullable=False),
        sa.Column("decision_id", IDENTIFIER, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("priority", sa.Double, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        PrimaryKeyConstraint("id", name="pk_reviews"),
        ForeignKeyConstraint(["decision_id"], ["decisions.id"], name="fk_reviews_decision_id"),
        UniqueConstraint("decision_id", name="uq_reviews_decision_id"),
        CheckConstraint("state IN ('open', 'settled')", name="ck_reviews_state"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_reviews_state_priority", "reviews", ["state", "priority"])
