"""Record which view showed a label, and what share of the picture was judged.

Safety: the version before this one keeps running while this migration is applied, so it only expands: columns
that are nullable, or that have a default. The shares of embeddings written by the version before are not
known; they are stored as 1. This version reads none of these: their digest is of another decoding.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

SHARES = ("area_share", "time_share")


def upgrade() -> None:
    op.add_column("decisions", sa.Column("parts", sa.Integer))
    op.add_column("embeddings", sa.Column("parts", sa.Integer, nullable=False, server_default="1"))
    for share in SHARES:
        op.add_column("decisions", sa.Column(share, sa.Double))
        op.add_column("embeddings", sa.Column(share, sa.Double, nullable=False, server_default="1"))
    op.add_column("label_scores", sa.Column("on_black", sa.Boolean))
    op.add_column("label_scores", sa.Column("part", sa.Integer, nullable=False, server_default="0"))


def downgrade() -> None:
    for column in ("part", "on_black"):
        op.drop_column("label_scores", column)
    for column in (*reversed(SHARES), "parts"):
        for table in ("embeddings", "decisions"):
            op.drop_column(table, column)
