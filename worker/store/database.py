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

from worker.errors import DatabaseUnavailableError, SettingsError
from worker.store.address import Address
from worker.store.failures import named_failures

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
#: Nothing of ours takes nearly as long; what does is given up, and the job comes back. Milliseconds.
POSTGRESQL_LIMITS: Final = {
    # A statement that waits for a lock makes others wait behind it.
    "lock_timeout": 10_000,
    "statement_timeout": 30_000,
    # A process that was stopped in mid-transaction must not keep its locks.
    "idle_in_transaction_session_timeout": 60_000,
}
#: After a failover the old server still answers, but takes no writes: a new connection finds the new one.
READ_ONLY: Final = "25006"


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

        `unhurried`: a person waits for an answer from the whole archive, however long it takes.
        """
        with named_failures(self.address), Session(self.engine) as session:
            connection = session.connection(execution_options={"sqlite_begin": "DEFERRED"})
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
            yield connection

    def dispose(self) -> None:
        """Close the connections; the next transaction opens new ones."""
        self.engine.dispose()


def _sqlite(url: URL, file: Path) -> Engine:
    # Read and write, but never create: a mistyped path must not become an empty database.
    query = {"timeout": str(SQLITE_BUSY_SECONDS), **url.query, "mode": "rw", "uri": "true"}
    url = url.set(database=file.absolute().as_uri(), query=query)
    engine = create_engine(url, pool_size=POOL_SIZE, max_overflow=0)
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
    mode = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
    connection.exec_driver_sql(f"BEGIN {mode}")


def _postgresql(url: URL) -> Engine:
    limits = " ".join(f"-c {name}={value}" for name, value in POSTGRESQL_LIMITS.items())
    url = url.set(query={**POSTGRESQL_LIVENESS, "options": limits, **url.query})
    # A connection that died since the last transaction is replaced before the next one begins.
    engine = create_engine(url, pool_size=POOL_SIZE, max_overflow=0, pool_pre_ping=True)
    event.listen(engine, "connect", _prepare_postgresql)
    event.listen(engine, "handle_error", _leave_read_only_server)
    return engine


class _BinaryCursor(ServerCursor[Any]):
    """A cursor on the server: what is long enough for one holds vectors, which as text are twice as long."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.format = Format.BINARY


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    connection.server_cursor_factory = _BinaryCursor


def _leave_read_only_server(context: ExceptionContext) -> None:
    if getattr(context.original_exception, "sqlstate", None) == READ_ONLY:
        context.is_disconnect = True


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
