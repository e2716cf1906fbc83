"""The tables as a whole: `upgrade` brings them to this version, `check` says whether they are."""

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

#: Any number that nobody else locks in this database.
_UPGRADE_LOCK: Final = 7_120_265_432
#: Between two looks whether another upgrade is done.
_LOCK_PAUSE_SECONDS: Final = 0.2
_UPGRADE: Final = "run `moderate db upgrade`"
_RESTORE: Final = "restore the whole of a backup, or let MODERATION_DATABASE_URL name another database"
_SHOWN_FAULTS: Final = 5


def upgrade(database: Database) -> None:
    """Create the tables or bring them to this version; what is newer is left alone.

    Each migration is one transaction, which waits for locks briefly and is tried again. Safe to repeat and to
    run in two places at once. SchemaError if another program's tables are in the way or ours were restored in
    part, DatabaseUnavailableError if the database is away or another session keeps a lock: what was migrated
    before then stays, and the next upgrade goes on from there.
    """
    _make_file(database)
    with _alone(database):
        with database.reading() as session:
            _refuse_strangers(database, session.connection())
        while (script := _next(database)) is not None:
            _apply(database, script)
    check(database)


def check(database: Database) -> None:
    """Raise SchemaError if the tables are not those this version needs, or lack what keeps their rows right.

    Newer ones will do. DatabaseUnavailableError if the database is away.
    """
    check_revision(database)
    with database.reading() as session:
        _require_whole(database, session.connection())


def check_revision(database: Database) -> None:
    """Raise SchemaError if the tables are not there, or older than this version; cheap enough for a probe."""
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


@contextmanager
def _alone(database: Database) -> Iterator[None]:
    """Wait for upgrades that run elsewhere, and let later ones wait for this one."""
    if database.address.file:
        # There a migration waits for whatever else writes, and finds out then whether it is still needed.
        yield
        return
    while True:
        with database.migrating() as connection:
            # Asked for again and again, and without a parameter: a statement that waits keeps a snapshot, and
            # so does one with parameters. An index built concurrently would wait for whoever has one.
            if connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({_UPGRADE_LOCK})").scalar():
                yield
                return
        time.sleep(_LOCK_PAUSE_SECONDS)


def _next(database: Database) -> Script | None:
    """Return the first migration that is missing; None if there is none, or the tables are newer."""
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
            f"{database.describe}: these tables are missing: {', '.join(sorted(missing))}", hint=_RESTORE
        )


def _require_whole(database: Database, connection: Connection) -> None:
    """Raise SchemaError if tables of this very version lack what keeps their rows right."""
    if _is_newer(connection):
        return
    if faults := schema_faults(connection):
        shown = "; ".join(faults[:_SHOWN_FAULTS])
        others = f"; and {len(faults) - _SHOWN_FAULTS} more" if len(faults) > _SHOWN_FAULTS else ""
        raise SchemaError(
            f"{database.describe}: the tables were restored in part, they lack {shown}{others}", hint=_RESTORE
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
