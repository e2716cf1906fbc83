"""The connection to the database, and transactions that translate its failures into our errors."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import OperationalError
from typing import Any, Final, Self

from psycopg import ServerCursor
from psycopg.pq import Format
from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from worker.errors import DatabaseUnavailableError, SettingsError
from worker.store.engine import time_limits
from worker.store.engine.address import Address
from worker.store.engine.column_types import json_text
from worker.store.engine.failures import named_failures

#: Connections that threads share. Other threads wait for one: a transaction takes milliseconds.
POOL_SIZE: Final = 16
#: How long a writer waits for other writers before it gives up; well below a job's visibility timeout.
SQLITE_BUSY_SECONDS: Final = 30
#: Detects a dead server within half a minute, not after TCP's two hours.
POSTGRESQL_LIVENESS: Final = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
    "application_name": "moderation-worker",
}
#: How long a migration waits for a lock. Then it lets the sessions queued behind it proceed, and retries.
MIGRATION_LOCK_TIMEOUT: Final = "2s"
#: SQLSTATE of a read-only server, as the old one after a failover; a new connection finds the new one.
READ_ONLY: Final = "25006"
#: Execution option of a connection whose transactions only read.
_READS: Final = "moderation_reads"
#: Execution option of a connection that begins no transactions.
_OUTSIDE: Final = "moderation_outside"
#: Key under which a pooled connection keeps the SQL that sets its time limits.
_LIMITS: Final = "moderation_limits"


@dataclass(frozen=True, slots=True)
class Database:
    """A deployment's database. Thread-safe."""

    engine: Engine
    address: Address

    @classmethod
    def connect(cls, url: str, password: str = "") -> Self:
        """Return the database at `url`, not yet connected; SettingsError if `url` is invalid or unsupported.

        `password` is used if a server's URL has none.
        """
        address = Address.parse(url, password)
        try:
            engine = _sqlite(address.url, address.file) if address.file else _postgresql(address.url)
        except ValueError as error:
            raise SettingsError(
                f"MODERATION_DATABASE_URL has an invalid option: {error}",
                hint="options follow the question mark",
            ) from None
        return cls(engine, address)

    @property
    def describe(self) -> str:
        """Human-readable name of this database, without the password."""
        return str(self.address)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Write in one transaction, which is committed at the end of the block, or rolled back.

        DatabaseUnavailableError if the database is or becomes unavailable, or aborts the transaction. Then
        nothing was written, unless the connection was lost during the commit: `may_be_written` is set, so a
        retry has to be idempotent. IntegrityError and the like pass through.
        """
        is_committing = False
        try:
            with named_failures(self.address), Session(self.engine) as session, session.begin():
                yield session
                is_committing = True
        except DatabaseUnavailableError as error:
            error.may_be_written = is_committing
            raise

    @contextmanager
    def reading(self, *, unhurried: bool = False) -> Iterator[Session]:
        """Read one snapshot, without waiting for writers; writes are rolled back. Errors as in `transaction`.

        All queries of the block see the database as it was at the first of them. `unhurried` lifts the time
        limits, for a person who waits for an answer from the whole archive.
        """
        with named_failures(self.address), Session(self.engine) as session:
            connection = session.connection(execution_options={_READS: True})
            if unhurried:
                _lift_time_limits(connection)
            yield session

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """Change the schema in one transaction. Errors as in `transaction`."""
        with (
            named_failures(self.address),
            self.engine.connect() as connection,
            _unchecked_references(connection),
            connection.begin(),
        ):
            _lift_time_limits(connection)
            if connection.dialect.name == "postgresql":
                # Every other session that needs the table queues behind a migration that waits for it.
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{MIGRATION_LOCK_TIMEOUT}'")
            yield connection

    @contextmanager
    def statement_by_statement(self) -> Iterator[Connection]:
        """Execute statements outside transactions, without time limits. Errors as in `transaction`."""
        with named_failures(self.address), self.engine.connect() as connection:
            yield connection.execution_options(**{_OUTSIDE: True})

    def dispose(self) -> None:
        """Close the connections; the next transaction opens new ones."""
        self.engine.dispose()


def _sqlite(url: URL, file: Path) -> Engine:
    # Open for reading and writing, never create: a mistyped path must not become an empty database.
    query = {"timeout": str(SQLITE_BUSY_SECONDS), **url.query, "mode": "rw", "uri": "true"}
    url = url.set(database=file.absolute().as_uri(), query=query)
    engine = create_engine(url, pool_size=POOL_SIZE, max_overflow=0, hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin transactions itself
    connection.execute("PRAGMA foreign_keys = ON")
    # WAL: readers and the writer do not wait for each other. The file keeps the mode. If the switch fails,
    # because another process is making it or the file is read-only, the current mode will do.
    with suppress(OperationalError):
        connection.execute("PRAGMA journal_mode = WAL")


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that starts to write after another one did fails at once, despite the timeout.
    reads = connection.get_execution_options().get(_READS)
    connection.exec_driver_sql("BEGIN DEFERRED" if reads else "BEGIN IMMEDIATE")


def _postgresql(url: URL) -> Engine:
    url = url.set(query={**POSTGRESQL_LIVENESS, **url.query})
    engine = create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=0,
        # A connection that died since the last transaction is replaced before the next one begins.
        pool_pre_ping=True,
        hide_parameters=True,
        json_serializer=json_text,
        # Behind PgBouncer the next transaction may run on another connection, which lacks the statements
        # prepared on this one. Without autocommit the driver would spend a round trip on its own BEGIN.
        connect_args={"prepare_threshold": None, "autocommit": True},
    )
    event.listen(engine, "connect", _prepare_postgresql)
    event.listen(engine, "begin", _begin_postgresql)
    event.listen(engine, "handle_error", _leave_read_only_server)
    event.listen(engine, "handle_error", _hide_values)
    return engine


class _BinaryCursor(ServerCursor[Any]):
    """A server-side cursor in binary format: long results hold vectors, which are twice as long as text."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.format = Format.BINARY


def _prepare_postgresql(connection: Any, record: ConnectionPoolEntry) -> None:
    connection.server_cursor_factory = _BinaryCursor
    # The options in effect, whether they come from the URL, PGOPTIONS or a service file.
    record.info[_LIMITS] = time_limits.setting(time_limits.joined(connection.info.options))


def _begin_postgresql(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get(_OUTSIDE) or options.get("isolation_level") == "AUTOCOMMIT":
        return
    # One round trip. A read transaction sees one snapshot, as on SQLite.
    level = " ISOLATION LEVEL REPEATABLE READ" if options.get(_READS) else ""
    connection.exec_driver_sql(f"BEGIN{level}{connection.info[_LIMITS]}")


def _leave_read_only_server(context: ExceptionContext) -> None:
    if getattr(context.original_exception, "sqlstate", None) == READ_ONLY:
        context.is_disconnect = True


def _hide_values(context: ExceptionContext) -> None:
    """Keep only the first line of PostgreSQL's message: DETAIL shows whole rows, CONTEXT the input."""
    error, wrapped = context.original_exception, context.sqlalchemy_exception
    whole = str(error)
    first = whole.partition("\n")[0]
    error.args = (first,)
    if wrapped is not None:
        wrapped.args = tuple(str(one).replace(whole, first) for one in wrapped.args)


def _lift_time_limits(connection: Connection) -> None:
    """Let this transaction run and idle for any time; `lock_timeout` stays."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")


@contextmanager
def _unchecked_references(connection: Connection) -> Iterator[None]:
    """Let a migration rebuild a SQLite table that others refer to.

    Otherwise SQLite would refuse its DROP, and the renaming of the new table while a view names the old one.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    # Bypass SQLAlchemy, which would begin a transaction first: inside one the pragma has no effect.
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA foreign_keys = OFF")
    driver.execute("PRAGMA legacy_alter_table = ON")
    try:
        yield
    finally:
        driver.execute("PRAGMA legacy_alter_table = OFF")
        driver.execute("PRAGMA foreign_keys = ON")
