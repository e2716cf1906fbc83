"""Column types, and JSON, that behave the same on SQLite and PostgreSQL."""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Enum, Integer, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator

from worker.domain.policies.policy import Action

#: A number that the database generates; SQLite does so for INTEGER only.
Identifier: Final = BigInteger().with_variant(Integer(), "sqlite")
#: A list of names, or an object with them, as JSON: readable, and searchable with JSON functions.
Names: Final = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
#: An action by its value; the table's CHECK restricts it to the known ones.
ActionName: Final = Enum(Action, native_enum=False, length=16, values_callable=list)

_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
#: A string, which stays as it is, or a float that Python writes with a positive exponent: a whole number.
_LARGE_FLOAT: Final = re.compile(r'"(?:[^"\\]|\\.)*"|(-?[0-9.]+e\+[0-9]+)')


def utc_now() -> datetime:
    """Return the current time in UTC, with its zone."""
    return datetime.now(UTC)


def storable(value: Any) -> Any:
    """Return a JSON value with its strings as `FreeText` stores them: PostgreSQL rejects NUL in JSON too."""
    match value:
        case str():
            return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)
        case dict():
            return {storable(key): storable(one) for key, one in value.items()}
        case list():
            return [storable(one) for one in value]
    return value


def json_text(value: Any) -> str:
    """Return `value` as JSON whose floats PostgreSQL returns as equal floats.

    JSONB keeps a number's digits, but returns 1e300 as an integer.
    """
    return _LARGE_FLOAT.sub(_with_all_digits, json.dumps(value))


def _with_all_digits(found: re.Match[str]) -> str:
    return f"{Decimal(found[1]):f}.0" if found[1] else found[0]


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time: aware when it is written, aware and in UTC when it is read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC, and drop the zone if the database cannot store it."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the time in UTC, whatever zone the connection has."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class FreeText(TypeDecorator[str]):
    """Untrusted text: NUL and lone surrogates, which a database cannot store, are replaced by U+FFFD."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - the base's form
        """Replace characters that cannot be stored."""
        return None if value is None else _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)
