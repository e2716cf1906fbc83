"""The connection to the database, and transactions whose failures are ours to name."""

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
from worker.store.engine.failures import named_failures
from worker.store.engine.json_text import json_text

#: Connections that threads share; the rest wait their turn, since a transaction lasts milliseconds.
POOL_SIZE: Final = 16
#: A writer waits this long for the others before it gives up; well below a job's visibility timeout.
SQLITE_BUSY_SECONDS: Final = 30
#: A server that vanished without a word is noticed within half a minute, not after TCP's two hours.
POSTGRESQL_LIVENESS: Final = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
    "application_name": "moderation-worker",
}
#: How long a migration waits for a lock before it lets those behind it proceed, and tries again.
MIGRATION_LOCK_TIMEOUT: Final = "2s"
#: After a failover the old server still answers, but takes no writes: a new connection finds the new one.
READ_ONLY: Final = "25006"
#: Execution option of a connection whose transactions only read.
_READS: Final = "moderation_reads"
#: Execution option of a connection that begins no transactions.
_OUTSIDE: Final = "moderation_outside"
#: Where a pooled connection keeps the SQL that sets its time limits.
_LIMITS: Final = "moderation_limits"


@dataclass(frozen=True, slots=True)
class Database:
    """A deployment's database. Safe to use from many threads."""

    engine: Engine
    address: Address

    @classmethod
    def connect(cls, url: str, password: str = "") -> Self:
        """Return the database at `url`, not yet connected; SettingsError where `url` names none we use.

        `password` is for a server's URL that has none.
        """
        address = Address.parse(url, password)
        try:
            engine = _sqlite(address.url, address.file) if address.file else _postgresql(address.url)
        except ValueError as error:
            raise SettingsError(
                f"MODERATION_DATABASE_URL has an option that does not fit: {error}",
                hint="options stand after the question mark",
            ) from None
        return cls(engine, address)

    @property
    def describe(self) -> str:
        """Which database this is, for people; never shows the password."""
        return str(self.address)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Write in one transaction: committed at the end, or nothing of it.

        DatabaseUnavailableError where the database is away or becomes so, or gave the transaction up; then
        nothing was written, unless the connection was lost in the commit itself, as `may_be_written` says:
        whoever tries again has to be safe to repeat. IntegrityError and the like pass.
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
        """Read without waiting for writers; what is written here is lost. Errors as in `transaction`.

        All queries of the block see the database as it was at the first of them. `unhurried`: a person waits
        for an answer from the whole archive, however long it takes.
        """
        with named_failures(self.address), Session(self.engine) as session:
            connection = session.connection(execution_options={_READS: True})
            if unhurried:
                _take_time(connection)
            yield session

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """Change tables in one transaction. Errors as in `transaction`."""
        with (
            named_failures(self.address),
            self.engine.connect() as connection,
            _unchecked_references(connection),
            connection.begin(),
        ):
            _take_time(connection)
            if connection.dialect.name == "postgresql":
                # Whatever wants the table queues behind a migration that waits for it.
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{MIGRATION_LOCK_TIMEOUT}'")
            yield connection

    @contextmanager
    def statement_by_statement(self) -> Iterator[Connection]:
        """Execute statements outside transactions, as some must be; without time limits. Errors as above."""
        with named_failures(self.address), self.engine.connect() as connection:
            yield connection.execution_options(**{_OUTSIDE: True})

    def dispose(self) -> None:
        """Close the connections; the next transaction opens new ones."""
        self.engine.dispose()


def _sqlite(url: URL, file: Path) -> Engine:
    # Read and write, but never create: a mistyped path must not become an empty database.
    query = {"timeout": str(SQLITE_BUSY_SECONDS), **url.query, "mode": "rw", "uri": "true"}
    url = url.set(database=file.absolute().as_uri(), query=query)
    engine = create_engine(url, pool_size=POOL_SIZE, max_overflow=0, hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin transactions of its own
    connection.execute("PRAGMA foreign_keys = ON")
    # WAL: readers do not wait for the writer, nor it for them. It stays with the file; where the switch
    # fails, because another process is making it or the file is read-only, the present mode will do.
    with suppress(OperationalError):
        connection.execute("PRAGMA journal_mode = WAL")


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that starts to write after another did fails at once, whatever the timeout.
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
        # Behind PgBouncer the next transaction may run on a connection that knows no statement prepared on
        # another. Without autocommit the driver would spend a round trip on a BEGIN of its own.
        connect_args={"prepare_threshold": None, "autocommit": True},
    )
    event.listen(engine, "connect", _prepare_postgresql)
    event.listen(engine, "begin", _begin_postgresql)
    event.listen(engine, "handle_error", _leave_read_only_server)
    event.listen(engine, "handle_error", _hide_values)
    return engine


class _BinaryCursor(ServerCursor[Any]):
    """A cursor on the server: what is long enough for one holds vectors, which as text are twice as long."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.format = Format.BINARY


def _prepare_postgresql(connection: Any, record: ConnectionPoolEntry) -> None:
    connection.server_cursor_factory = _BinaryCursor
    # Those in force, whether they stand in the URL, in PGOPTIONS or in a service file.
    record.info[_LIMITS] = time_limits.setting(time_limits.joined(connection.info.options))


def _begin_postgresql(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get(_OUTSIDE) or options.get("isolation_level") == "AUTOCOMMIT":
        return
    # One round trip. What reads sees one state, as on SQLite.
    level = " ISOLATION LEVEL REPEATABLE READ" if options.get(_READS) else ""
    connection.exec_driver_sql(f"BEGIN{level}{connection.info[_LIMITS]}")


def _leave_read_only_server(context: ExceptionContext) -> None:
    if getattr(context.original_exception, "sqlstate", None) == READ_ONLY:
        context.is_disconnect = True


def _hide_values(context: ExceptionContext) -> None:
    """Cut off what PostgreSQL says beside the error itself: DETAIL shows whole rows, CONTEXT what came."""
    error, wrapped = context.original_exception, context.sqlalchemy_exception
    whole = str(error)
    first = whole.partition("\n")[0]
    error.args = (first,)
    if wrapped is not None:
        wrapped.args = tuple(str(one).replace(whole, first) for one in wrapped.args)


def _take_time(connection: Connection) -> None:
    """Let this transaction take as long as it takes; it still waits for locks no longer than others."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")


@contextmanager
def _unchecked_references(connection: Connection) -> Iterator[None]:
    """Let a migration rebuild a SQLite table that others refer to.

    Its DROP would be refused otherwise, and so would the new table's renaming while a view names the old one.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    # Beside SQLAlchemy, which would begin a transaction first: inside one the pragma has no effect.
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA foreign_keys = OFF")
    driver.execute("PRAGMA legacy_alter_table = ON")
    try:
        yield
    finally:
        driver.execute("PRAGMA legacy_alter_table = OFF")
        driver.execute("PRAGMA foreign_keys = ON")
