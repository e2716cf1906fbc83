"""Time limits of a transaction on PostgreSQL: our defaults, overridden by the operator's `options`.

They are set in each transaction: PgBouncer drops or rejects the options of a connection, and a plain SET
would apply to whichever server connection happens to serve it.
"""

import re
from collections.abc import Mapping
from typing import Final

#: Our transactions take far less. One that exceeds a limit is aborted, and its job is retried.
LIMITS: Final[Mapping[str, str]] = {
    # Other statements queue behind one that waits for a lock.
    "lock_timeout": "10s",
    "statement_timeout": "30s",
    # A process that was stopped in the middle of a transaction must not keep its locks.
    "idle_in_transaction_session_timeout": "60s",
}
#: `-c name=value` or `--name=value`; a backslash escapes the next character.
_OPTION: Final = re.compile(r"(?:^|(?<=\s))(?:-c\s*|--)([\w-]+)=((?:\\.|[^\s\\])*)")


def joined(options: str) -> dict[str, str]:
    """Return the limits of a connection with these libpq `options`: the operator's take precedence."""
    named = {name.lower().replace("-", "_"): _unescaped(value) for name, value in _OPTION.findall(options)}
    return {name: named.get(name, limit) for name, limit in LIMITS.items()}


def setting(limits: Mapping[str, str]) -> str:
    """Return the SQL that sets `limits` until the transaction ends."""
    return "".join(f"; SET LOCAL {name} = '{_quoted(value)}'" for name, value in limits.items())


def _unescaped(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value)


def _quoted(value: str) -> str:
    return value.replace("'", "''")
