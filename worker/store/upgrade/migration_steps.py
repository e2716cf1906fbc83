"""Migrations of large tables in bounded steps: writers proceed, and an interrupted migration can resume."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from worker.errors import DatabaseLockedError, DatabaseUnavailableError
from worker.store.engine.database import Database

#: Pauses in seconds between attempts to get a lock, in which the workers queued behind the last one proceed.
PAUSES: Final = (1.0, 1.0, 2.0, 2.0, 4.0, 4.0, 8.0, 8.0)
#: How long a concurrent index build may wait for open transactions; no other session waits behind it.
INDEX_WAIT_SECONDS: Final = 60.0
#: A transaction of this number of rows takes milliseconds to seconds.
BATCH_ROWS: Final = 2000

_IS_VALID: Final = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
_CANCEL_WAITING: Final = text(
    """SELECT pg_cancel_backend(activity.pid)
    FROM pg_stat_activity AS activity JOIN pg_locks AS locks ON locks.pid = activity.pid
    WHERE activity.datname = current_database() AND activity.query = :statement AND NOT locks.granted
    AND locks.waitstart < clock_timestamp() - make_interval(secs => :seconds)"""
)
_OLDEST_TRANSACTION: Final = text(
    """SELECT pid, application_name, date_trunc('second', xact_start) FROM pg_stat_activity
    WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
    AND wait_event IS DISTINCT FROM 'advisory' AND query NOT LIKE '%pg_try_advisory_xact_lock%'
    ORDER BY xact_start LIMIT 1"""
)


def retry_while_locked(database: Database, what: str, work: Callable[[], None]) -> None:
    """Run `work`, and retry while it times out on a lock; DatabaseUnavailableError after the last try."""
    for pause in (*PAUSES, None):
        try:
            work()
        except DatabaseLockedError as error:
            if pause is None:
                raise DatabaseUnavailableError(
                    f"{database.describe}: {what} was given up after {len(PAUSES) + 1} tries: another session"
                    " holds a lock that it needs; nothing of it is left",
                    hint=_lock_hint(database),
                ) from error
            time.sleep(pause)
        else:
            return


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps for a migration's `prepare`, outside its transaction; each method is idempotent."""

    database: Database

    def create_index(
        self, name: str, table: str, columns: str, *, unique: bool = False, where: str = ""
    ) -> None:
        """Create an index while other sessions write; `columns` and `where` are SQL."""
        what = f"{'UNIQUE ' if unique else ''}INDEX"
        definition = f"{name} ON {table} ({columns}){f' WHERE {where}' if where else ''}"
        if self.database.address.file:
            self._retry(f"CREATE {what} IF NOT EXISTS {definition}")
            return
        retry_while_locked(
            self.database,
            f"the index {name}",
            lambda: self._create_concurrently(name, f"CREATE {what} CONCURRENTLY {definition}"),
        )

    def in_batches(self, statement: str) -> None:
        """Repeat an UPDATE or DELETE of at most `:rows` rows, one transaction each, until no row is left."""
        has_more = True
        while has_more:
            with self.database.migrating() as connection:
                has_more = connection.execute(text(statement), {"rows": BATCH_ROWS}).rowcount > 0

    def validate(self, table: str, constraint: str) -> None:
        """Validate a constraint against existing rows; SQLite did so when it was added."""
        if not self.database.address.file:
            self._retry(f"ALTER TABLE {table} VALIDATE CONSTRAINT {constraint}")

    def _retry(self, statement: str) -> None:
        def execute() -> None:
            with self.database.migrating() as connection:
                connection.execute(text(statement))

        retry_while_locked(self.database, statement, execute)

    def _create_concurrently(self, name: str, statement: str) -> None:
        with self.database.statement_by_statement() as connection:
            is_valid = connection.scalar(_IS_VALID, {"name": name})
            if is_valid:
                return
            if is_valid is False:  # left by an interrupted build
                _execute_watched(self.database, connection, f"DROP INDEX CONCURRENTLY {name}")
            _execute_watched(self.database, connection, statement)


def _execute_watched(database: Database, connection: Connection, statement: str) -> None:
    """Execute a statement that must not run inside a transaction, and cancel it if it waits too long.

    `lock_timeout` cannot be set for one statement outside a transaction.
    """
    done, cancelled = threading.Event(), threading.Event()
    watcher = threading.Thread(target=_watch, args=[database, statement, done, cancelled], daemon=True)
    watcher.start()
    try:
        connection.exec_driver_sql(statement)
    except DBAPIError as error:
        done.set()
        watcher.join()
        if cancelled.is_set():
            raise DatabaseLockedError(f"{statement} timed out waiting for other transactions") from error
        raise
    finally:
        done.set()
        watcher.join()


def _watch(database: Database, statement: str, done: threading.Event, cancelled: threading.Event) -> None:
    """Cancel a statement that waits too long for a lock."""
    parameters = {"statement": statement, "seconds": INDEX_WAIT_SECONDS}
    while not done.wait(min(1.0, INDEX_WAIT_SECONDS)):
        with suppress(DatabaseUnavailableError), database.reading() as session:
            if session.scalars(_CANCEL_WAITING, parameters).all():
                cancelled.set()


def _lock_hint(database: Database) -> str:
    if database.address.file:
        return "run `moderate db upgrade` again when no other process writes for long"
    with database.reading() as session:
        oldest = session.execute(_OLDEST_TRANSACTION).one_or_none()
    if oldest is None:
        return "run `moderate db upgrade` again"
    pid, program, since = oldest
    return (
        f"the oldest open transaction is that of session {pid} ({program or 'no name'}), since {since}:"
        f" let it end, or SELECT pg_terminate_backend({pid}); then run `moderate db upgrade` again"
    )
