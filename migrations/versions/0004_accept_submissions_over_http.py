"""Store submissions accepted over HTTP until they are decided, and API keys.

Safety: the version before this one keeps running while this migration is applied, so it only expands. Its
workers decide accepted submissions too, but leave their rows `accepted`; the web processes update them.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import PrimaryKeyConstraint
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NAMES = sa.JSON().with_variant(JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    with op.batch_alter_table("submissions") as submissions:
        submissions.add_column(sa.Column("fingerprint", sa.Text))
        submissions.add_column(sa.Column("pending_source", NAMES))
        submissions.add_column(sa.Column("publish_at", TIME))
        submissions.add_column(sa.Column("published_again", sa.Integer, nullable=False, server_default="0"))
        submissions.drop_constraint("ck_submissions_state", type_="check")
        submissions.create_check_constraint(
            "ck_submissions_state", "state IN ('accepted', 'decided', 'refused')"
        )
    op.create_index("ix_submissions_reference", "submissions", ["reference"])
    op.create_index("ix_decisions_policy_created_at", "decisions", ["policy", "created_at"])
    _create_api_keys()


def downgrade() -> None:
    op.drop_table("api_keys")
    op.drop_index("ix_decisions_policy_created_at", "decisions")
    op.drop_index("ix_submissions_reference", "submissions")
    # Waiting submissions are in the broker too; a worker that receives one decides it, refused or not.
    op.execute(
        "UPDATE submissions SET state = 'refused',"
        " error = 'accepted by a later version of the service, which was taken back; submit it again'"
        " WHERE state = 'accepted'"
    )
    with op.batch_alter_table("submissions") as submissions:
        submissions.drop_constraint("ck_submissions_state", type_="check")
        submissions.create_check_constraint("ck_submissions_state", "state IN ('decided', 'refused')")
        for column in ("published_again", "publish_at", "pending_source", "fingerprint"):
            submissions.drop_column(column)


def _create_api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("scopes", NAMES, nullable=False),
        sa.Column("secret_sha256", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("last_used_at", TIME),
        sa.Column("revoked_at", TIME),
        PrimaryKeyConstraint("id", name="pk_api_keys"),
    )
