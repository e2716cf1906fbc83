"""${message[0].upper() + message[1:]}.

Safety: the version before this one keeps running while this migration is applied, so it may only expand
(a new table, a new nullable or defaulted column, a new index) or contract what no running version has used
since the last release. Never rename; never change a meaning in place. Tested up and down, with rows in the
tables, on SQLite and PostgreSQL: tests/integration/store/test_store_migrations.py.

Size: upgrade is one transaction that waits two seconds for a lock; never read or write every row of a table in
it. An index on a table with rows, a backfill, the validation of a constraint go into a function
`prepare(steps)`, each in a separate migration: migrations/README.md, "Large tables".
"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision).replace("'", '"')}
down_revision = ${repr(down_revision).replace("'", '"')}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
