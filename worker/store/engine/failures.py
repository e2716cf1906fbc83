"""Turns what a driver raises when the database is away into our error, with the way out."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from worker.errors import DatabaseLockedError, DatabaseUnavailableError, TransactionGivenUpError
from worker.store.engine.address import Address

_UPGRADE: Final = "run `moderate db upgrade`"
_TRIED_AGAIN: Final = "two transactions were in each other's way, and one was given up; try it again"
#: By what SQLite says.
_SQLITE_HINTS: Final = {
    "not a database": f"the file is something else; let MODERATION_DATABASE_URL name another, and {_UPGRADE}",
    "unable to open": "it has to be a file that this user can read and write, in a folder it can write",
    "readonly": "this user has to be able to write the file and its folder",
    "disk is full": "make room where the file is; until then nothing is decided, and nothing lost",
    "locked": "another process holds the file; PostgreSQL serves many writers at once",
    "no such": _UPGRADE,
    "has no column": _UPGRADE,
}
#: PostgreSQL's codes of what an operator can mend, though the driver files them under a program's mistakes.
_SQLSTATE_HINTS: Final = {
    "42P01": _UPGRADE,  # undefined table
    "42703": _UPGRADE,  # undefined column
    "3F000": _UPGRADE,  # undefined schema
    "42501": "grant this user the right to read and write the tables, and to create them for an upgrade",
    "25006": "this is a read-only replica; let MODERATION_DATABASE_URL name the primary",
    "40001": _TRIED_AGAIN,  # serialization failure
    "40P01": _TRIED_AGAIN,  # deadlock
    "53100": "make room on the server's disk; until then nothing is decided, and nothing lost",
    "53300": "each process opens up to 16 connections: let the server have more, max_connections",
    "55P03": "another session holds a lock on the table, a migration perhaps; try again when it is done",
    "57014": "the server is too busy, or somebody cancelled the statement; pg_stat_activity shows what runs",
}
#: Known at once, and the next try need not meet it. A lock that is waited for in vain is no such thing: each
#: further try would stand still for as long.
_GIVEN_UP: Final = frozenset({"40001", "40P01"})
_LOCK_TIMEOUT: Final = "55P03"
#: The first characters of the codes of what one row may meet and another not: a block that cannot be read.
_OF_SOME_ROWS: Final = "58"
#: Of what a row can never be, such as too long for an index; no later try would end differently.
_OF_A_ROW: Final = "54"
#: By what PgBouncer says to a connection that it does not let in; it gives no code.
_PGBOUNCER_HINTS: Final = {
    "unsupported startup parameter": (
        "PgBouncer passes no `options` on: take them out of MODERATION_DATABASE_URL and PGOPTIONS, or list"
        " them in its ignore_startup_parameters; time limits among them hold all the same"
    ),
    "query_wait_timeout": "every connection of PgBouncer is taken: raise its default_pool_size",
    "no more connections allowed": "each process opens up to 16 connections: raise its max_client_conn",
}
_ELSEWHERE: Final = "see that the server runs and that MODERATION_DATABASE_URL is right"


@contextmanager
def named_failures(address: Address) -> Iterator[None]:
    """Raise DatabaseUnavailableError for whatever a later try can survive; let every other error pass.

    TransactionGivenUpError if others may succeed: two conflicted, or some rows are out of reach.
    """
    try:
        yield
    except PoolTimeoutError as error:
        raise DatabaseUnavailableError(
            f"{address} is too slow: no connection became free in time",
            hint="start fewer threads, or give the database more room",
        ) from error
    except DBAPIError as error:
        if not _survivable(error):
            raise
        raise _kind(error)(f"{address}: {_first_line(error)}", hint=_hint(error, address)) from error


def _kind(error: DBAPIError) -> type[DatabaseUnavailableError]:
    code = _sqlstate(error)
    if code in _GIVEN_UP or code.startswith(_OF_SOME_ROWS):
        return TransactionGivenUpError
    return DatabaseLockedError if code == _LOCK_TIMEOUT else DatabaseUnavailableError


def _survivable(error: DBAPIError) -> bool:
    if _sqlstate(error).startswith(_OF_A_ROW):
        return False
    # SQLite's "file is not a database" is a plain DatabaseError; of its subclasses most blame our statement.
    away = type(error) in {OperationalError, InterfaceError, DatabaseError}
    never_connected = type(error) is ProgrammingError and error.statement is None
    return away or never_connected or error.connection_invalidated or _sqlstate(error) in _SQLSTATE_HINTS


def _hint(error: DBAPIError, address: Address) -> str:
    said = str(error.orig)
    if address.file is None:
        known = _SQLSTATE_HINTS.get(_sqlstate(error), _ELSEWHERE)
        return next((hint for words, hint in _PGBOUNCER_HINTS.items() if words in said), known)
    if not address.file.exists():
        return f"there is no such file: {_UPGRADE}"
    return next((hint for words, hint in _SQLITE_HINTS.items() if words in said), "")


def _sqlstate(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0] or type(error.orig).__name__
