"""Store what policies learn from verdicts and who put it in force.

Safety: the version before this one keeps running while this migration is applied, so it only expands: new
tables, and a column that is nullable. Versions in force before have learned nothing.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "learned_states",
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("policy_digest", sa.Text, nullable=False),
        sa.Column("model_digest", sa.Text, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
        sa.Column("thresholds", JSON, nullable=False),
        sa.Column("figures", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_learned_states"),
    )
    op.create_index("ix_learned_states_policy_created_at", "learned_states", ["policy", "created_at"])
    op.create_table(
        "learned_changes",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("learned_digest", sa.Text),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_learned_changes"),
        sa.ForeignKeyConstraint(
            ["learned_digest"], ["learned_states.digest"], name="fk_learned_changes_learned_digest"
        ),
    )
    op.create_index("ix_learned_changes_policy_id", "learned_changes", ["policy", "id"])
    op.add_column("policy_versions", sa.Column("learned_digest", sa.Text))


def downgrade() -> None:
    op.drop_column("policy_versions", "learned_digest")
    for table in ("learned_changes", "learned_states"):
        op.drop_table(table)
