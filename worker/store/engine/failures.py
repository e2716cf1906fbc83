"""Translates driver exceptions of an unavailable database into our errors, with a hint."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from worker.errors import DatabaseLockedError, DatabaseUnavailableError, TransactionGivenUpError
from worker.store.engine.address import Address

_UPGRADE: Final = "run `moderate db upgrade`"
_CONFLICT: Final = "two transactions conflicted, and one was aborted; try it again"
#: By the words in SQLite's message.
_SQLITE_HINTS: Final = {
    "not a database": f"the file is something else; let MODERATION_DATABASE_URL name another, and {_UPGRADE}",
    "unable to open": "it has to be a file that this user can read and write, in a folder it can write",
    "readonly": "this user has to be able to write the file and its folder",
    "disk is full": "make room on the file's disk; until then nothing is decided, and nothing lost",
    "locked": "another process holds the file; PostgreSQL serves many writers at once",
    "no such": _UPGRADE,
    "has no column": _UPGRADE,
}
#: SQLSTATEs of failures that an operator can fix, though the driver classifies some as programming errors.
_SQLSTATE_HINTS: Final = {
    "42P01": _UPGRADE,  # undefined table
    "42703": _UPGRADE,  # undefined column
    "3F000": _UPGRADE,  # undefined schema
    "42501": "grant this user the right to read and write the tables, and to create them for an upgrade",
    "25006": "this is a read-only replica; let MODERATION_DATABASE_URL name the primary",
    "40001": _CONFLICT,  # serialization failure
    "40P01": _CONFLICT,  # deadlock
    "53100": "make room on the server's disk; until then nothing is decided, and nothing lost",
    "53300": "each process opens up to 16 connections: let the server have more, max_connections",
    "55P03": "another session holds a lock on the table, a migration perhaps; try again when it is done",
    "57014": "the server is too busy, or the statement was cancelled; pg_stat_activity shows what runs",
}
#: Failures that show at once and may not recur on a retry. A lock timeout is not one of these: each retry
#: would wait as long again.
_ABORTED: Final = frozenset({"40001", "40P01"})
_LOCK_TIMEOUT: Final = "55P03"
#: The class of SQLSTATEs that may concern some rows only, such as an unreadable block.
_SYSTEM_ERROR: Final = "58"
#: The class of SQLSTATEs for a row that exceeds a limit, as of an index entry; a retry fails too.
_LIMIT_EXCEEDED: Final = "54"
#: By the words in PgBouncer's message when it rejects a connection; it sends no SQLSTATE.
_PGBOUNCER_HINTS: Final = {
    "unsupported startup parameter": (
        "PgBouncer does not pass on `options`: remove them from MODERATION_DATABASE_URL and PGOPTIONS, or"
        " list them in its ignore_startup_parameters; time limits among them apply all the same"
    ),
    "query_wait_timeout": "every connection of PgBouncer is taken: raise its default_pool_size",
    "no more connections allowed": "each process opens up to 16 connections: raise its max_client_conn",
}
_DEFAULT_HINT: Final = "see that the server runs and that MODERATION_DATABASE_URL is right"


@contextmanager
def named_failures(address: Address) -> Iterator[None]:
    """Raise DatabaseUnavailableError for every failure that a retry may survive; let other errors pass.

    TransactionGivenUpError if other transactions may succeed: two conflicted, or some rows are unreadable.
    """
    try:
        yield
    except PoolTimeoutError as error:
        raise DatabaseUnavailableError(
            f"{address} is too slow: no connection became free in time",
            hint="start fewer threads, or give the database more room",
        ) from error
    except DBAPIError as error:
        if not _is_retryable(error):
            raise
        raise _kind(error)(f"{address}: {_first_line(error)}", hint=_hint(error, address)) from error


def _kind(error: DBAPIError) -> type[DatabaseUnavailableError]:
    code = _sqlstate(error)
    if code in _ABORTED or code.startswith(_SYSTEM_ERROR):
        return TransactionGivenUpError
    return DatabaseLockedError if code == _LOCK_TIMEOUT else DatabaseUnavailableError


def _is_retryable(error: DBAPIError) -> bool:
    if _sqlstate(error).startswith(_LIMIT_EXCEEDED):
        return False
    # SQLite's "file is not a database" is a plain DatabaseError; most of its subclasses blame our statement.
    is_outage = type(error) in {OperationalError, InterfaceError, DatabaseError}
    never_connected = type(error) is ProgrammingError and error.statement is None
    return is_outage or never_connected or error.connection_invalidated or _sqlstate(error) in _SQLSTATE_HINTS


def _hint(error: DBAPIError, address: Address) -> str:
    message = str(error.orig)
    if address.file is None:
        default = _SQLSTATE_HINTS.get(_sqlstate(error), _DEFAULT_HINT)
        return next((hint for words, hint in _PGBOUNCER_HINTS.items() if words in message), default)
    if not address.file.exists():
        return f"there is no such file: {_UPGRADE}"
    return next((hint for words, hint in _SQLITE_HINTS.items() if words in message), "")


def _sqlstate(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0] or type(error.orig).__name__
