"""Add accounts, sessions and keys of the review desk, and the full source of a picture that waits for review.

Safety: the version before this one keeps running while this migration is applied, so it only expands: new
tables, a new nullable column. Its workers store no full source: the desk then says why it shows no picture.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import CheckConstraint, ForeignKeyConstraint, PrimaryKeyConstraint
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NAMES = sa.JSON().with_variant(JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("submissions", sa.Column("review_source", NAMES))
    present = sa.text("review_source IS NOT NULL")
    op.create_index(
        "ix_submissions_review_source", "submissions", ["id"], sqlite_where=present, postgresql_where=present
    )
    _create_reviewers()
    _create_desk_sessions()
    _create_login_failures()
    op.create_table(
        "desk_keys",
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        PrimaryKeyConstraint("purpose", name="pk_desk_keys"),
    )


def downgrade() -> None:
    for table in ("desk_keys", "login_failures", "desk_sessions", "reviewers"):
        op.drop_table(table)
    op.drop_index("ix_submissions_review_source", "submissions")
    op.drop_column("submissions", "review_source")


def _create_reviewers() -> None:
    op.create_table(
        "reviewers",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("opt_outs", NAMES, nullable=False),
        sa.Column("severe_per_day", sa.Integer),
        sa.Column("password_hash", sa.Text),
        sa.Column("shows_clear", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("disabled_at", TIME),
        PrimaryKeyConstraint("name", name="pk_reviewers"),
        CheckConstraint("role IN ('reviewer', 'lead', 'admin')", name="ck_reviewers_role"),
        CheckConstraint("severe_per_day >= 0", name="ck_reviewers_severe_per_day"),
    )


def _create_desk_sessions() -> None:
    op.create_table(
        "desk_sessions",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("reviewer", sa.Text, nullable=False),
        sa.Column("by_proxy", sa.Boolean, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        PrimaryKeyConstraint("id", name="pk_desk_sessions"),
        ForeignKeyConstraint(["reviewer"], ["reviewers.name"], name="fk_desk_sessions_reviewer"),
    )
    op.create_index("ix_desk_sessions_reviewer", "desk_sessions", ["reviewer"])


def _create_login_failures() -> None:
    op.create_table(
        "login_failures",
        sa.Column("id", IDENTIFIER, autoincrement=True, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("failed_at", TIME, nullable=False),
        PrimaryKeyConstraint("id", name="pk_login_failures"),
        sqlite_autoincrement=True,
    )
    for column in ("name", "address"):
        op.create_index(f"ix_login_failures_{column}_failed_at", "login_failures", [column, "failed_at"])
    op.create_index("ix_login_failures_failed_at", "login_failures", ["failed_at"])
