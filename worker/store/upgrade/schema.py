"""The schema as a whole: `upgrade` brings it to this version, `check` verifies it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.orm import Session

from worker.errors import DatabaseUnavailableError, SchemaError
from worker.resources import folder
from worker.store.engine.database import Database
from worker.store.engine.tables import Row
from worker.store.upgrade.migration_steps import Steps, retry_while_locked
from worker.store.upgrade.schema_faults import schema_faults

#: Key of an advisory lock: any number that no other lock in this database uses.
_UPGRADE_LOCK: Final = 7_120_265_432
#: Between two attempts to get the lock while another upgrade runs.
_LOCK_PAUSE_SECONDS: Final = 0.2
_UPGRADE: Final = "run `moderate db upgrade`"
_RESTORE: Final = "restore the whole of a backup, or let MODERATION_DATABASE_URL name another database"
_SHOWN_FAULTS: Final = 5


def upgrade(database: Database) -> None:
    """Create the tables or upgrade them to this version; a newer schema is left alone.

    Each migration is one transaction, which waits for locks briefly and is retried. Idempotent, and safe to
    run in several places at once. SchemaError if another program's tables are in the way or ours were
    restored in part, DatabaseUnavailableError if the database is unavailable or another session keeps a lock:
    migrations that were applied stay, and the next upgrade resumes after them.
    """
    _make_file(database)
    with _exclusive(database):
        with database.reading() as session:
            _refuse_foreign_tables(database, session.connection())
        while (script := _next(database)) is not None:
            _apply(database, script)
    check(database)


def check(database: Database) -> None:
    """Raise SchemaError if the schema is older than this version, or constraints and the like are missing.

    A newer schema passes. DatabaseUnavailableError if the database is unavailable.
    """
    check_revision(database)
    with database.reading() as session:
        _require_complete(database, session.connection())


def check_revision(database: Database) -> None:
    """Raise SchemaError if tables are missing, or older than this version; cheap enough for a probe."""
    if database.address.file and not database.address.file.exists():
        raise SchemaError(f"{database.describe}: there is no such file", hint=_UPGRADE)
    with database.reading() as session:
        _require_tables(database, session.connection())


def revision(session: Session) -> str:
    """Return the schema's revision; "none" if our tables do not exist."""
    return _revision(session.connection()) or "none"


def head() -> str | None:
    """Return the revision that this version needs."""
    return _scripts().get_current_head()


def configuration(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration for `connection`, without an alembic.ini."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(folder("migrations")).replace("%", "%%"))
    return config


def _make_file(database: Database) -> None:
    """Create an empty SQLite file, which is an empty database, and its folder."""
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


@contextmanager
def _exclusive(database: Database) -> Iterator[None]:
    """Hold a lock that lets only one upgrade run at a time."""
    if database.address.file:
        # On SQLite a migration waits for other writers, and then checks whether it is still needed.
        yield
        return
    while True:
        with database.migrating() as connection:
            # Polled, and without a parameter: a waiting statement keeps a snapshot, and so does one with
            # parameters. A concurrent index build would wait for every session with a snapshot.
            if connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({_UPGRADE_LOCK})").scalar():
                yield
                return
        time.sleep(_LOCK_PAUSE_SECONDS)


def _next(database: Database) -> Script | None:
    """Return the next migration to apply; None if the schema is up to date, or newer."""
    with database.reading() as session:
        revision = _revision(session.connection())
    scripts = list(_scripts().walk_revisions())[::-1]
    names = [script.revision for script in scripts]
    if revision is not None and revision not in names:
        return None
    start = names.index(revision) + 1 if revision else 0
    return next(iter(scripts[start:]), None)


def _apply(database: Database, script: Script) -> None:
    def migrate() -> None:
        with database.migrating() as connection:
            command.upgrade(configuration(connection), script.revision)

    if prepare := getattr(script.module, "prepare", None):
        prepare(Steps(database))
    retry_while_locked(database, f"migration {script.revision}", migrate)


def _refuse_foreign_tables(database: Database, connection: Connection) -> None:
    foreign = _our_names() & _tables(connection)
    if foreign and _revision(connection) is None:
        raise SchemaError(
            f"{database.describe}: another program's tables are in the way: {', '.join(sorted(foreign))}",
            hint="give the service a separate database",
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
            f"{database.describe}: these tables are missing: {', '.join(sorted(missing))}", hint=_RESTORE
        )


def _require_complete(database: Database, connection: Connection) -> None:
    """Raise SchemaError if tables of this version lack columns, constraints and the like."""
    if _is_newer(connection):
        return
    if faults := schema_faults(connection):
        shown = "; ".join(faults[:_SHOWN_FAULTS])
        others = f"; and {len(faults) - _SHOWN_FAULTS} more" if len(faults) > _SHOWN_FAULTS else ""
        raise SchemaError(
            f"{database.describe}: the tables were restored in part, they lack {shown}{others}", hint=_RESTORE
        )


def _is_newer(connection: Connection) -> bool:
    """Whether a later version than this one upgraded the schema."""
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
