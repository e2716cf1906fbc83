"""The tables as a whole: `upgrade` brings them to this version, `check` says whether they are."""

from typing import Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.orm import Session

from worker.errors import DatabaseUnavailableError, SchemaError
from worker.resources import folder
from worker.store.database import Database
from worker.store.tables import Row

#: Any number that nobody else locks in this database.
_UPGRADE_LOCK: Final = 7_120_265_432
_UPGRADE: Final = "run `moderate db upgrade`"


def upgrade(database: Database) -> None:
    """Create the tables or bring them to this version, in one transaction; what is newer is left alone.

    Safe to repeat and to run in two places at once. SchemaError where another program's tables are in the
    way, DatabaseUnavailableError where the database is away.
    """
    _make_file(database)
    with database.migrating() as connection:
        _wait_for_other_upgrades(connection)
        _refuse_strangers(database, connection)
        if not _is_newer(connection):
            command.upgrade(configuration(connection), "head")
        _require_tables(database, connection)


def check(database: Database) -> None:
    """Raise SchemaError where the tables are not those this version needs; newer ones will do.

    DatabaseUnavailableError where the database is away.
    """
    if database.address.file and not database.address.file.exists():
        raise SchemaError(f"{database.describe}: there is no such file", hint=_UPGRADE)
    with database.reading() as session:
        _require_tables(database, session.connection())


def revision(session: Session) -> str:
    """Return which revision the tables are at; "none" where there are none of ours."""
    return _revision(session.connection()) or "none"


def head() -> str | None:
    """Return the revision that this version needs."""
    return _scripts().get_current_head()


def configuration(connection: Connection | None = None) -> Config:
    """Return what Alembic needs to work on `connection`, without an alembic.ini."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(folder("migrations")).replace("%", "%%"))
    return config


def _make_file(database: Database) -> None:
    """Make an empty SQLite file, which is an empty database, and its folder."""
    file = database.address.file
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    except OSError as error:
        raise DatabaseUnavailableError(
            f"{database.describe} cannot be created: {error.strerror}",
            hint="let MODERATION_DATABASE_URL name a file in a folder that this user can write",
        ) from error


def _wait_for_other_upgrades(connection: Connection) -> None:
    # On SQLite every transaction that writes waits for the others already.
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _UPGRADE_LOCK})
        # From here on as ever: behind a migration that waits for a table, everything else waits.
        connection.execute(text("SET LOCAL lock_timeout TO DEFAULT"))


def _refuse_strangers(database: Database, connection: Connection) -> None:
    strangers = _our_names() & _tables(connection)
    if strangers and _revision(connection) is None:
        raise SchemaError(
            f"{database.describe}: another program's tables are in the way: {', '.join(sorted(strangers))}",
            hint="give the service a database of its own",
        )


def _require_tables(database: Database, connection: Connection) -> None:
    revision, needed = _revision(connection), head()
    if revision is None:
        raise SchemaError(f"{database.describe}: no tables", hint=_UPGRADE)
    if revision != needed and not _is_newer(connection):
        raise SchemaError(
            f"{database.describe}: the tables are at revision {revision}, this version needs {needed}",
            hint=_UPGRADE,
        )
    if missing := _our_names() - _tables(connection):
        raise SchemaError(
            f"{database.describe}: these tables are missing: {', '.join(sorted(missing))}",
            hint="restore the database from a backup, or let MODERATION_DATABASE_URL name another",
        )


def _is_newer(connection: Connection) -> bool:
    """Whether a later version than this one made the tables."""
    revision = _revision(connection)
    known = {script.revision for script in _scripts().walk_revisions()}
    return revision is not None and revision not in known


def _revision(connection: Connection) -> str | None:
    if "alembic_version" not in _tables(connection):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def _tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


def _our_names() -> set[str]:
    return set(Row.metadata.tables)


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(configuration())
