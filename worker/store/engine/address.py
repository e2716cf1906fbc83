"""The address of the database, parsed from MODERATION_DATABASE_URL."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from worker.errors import SettingsError

_DRIVERS: Final = {
    "sqlite": "sqlite+pysqlite",
    "sqlite+pysqlite": "sqlite+pysqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
_FORMS: Final = (
    "sqlite:///var/moderation.db, sqlite:////an/absolute/path.db, or postgresql://user:password@host/name, "
    "with characters such as @ : / in a password written as %40 %3A %2F"
)

#: The start of a URL's options; a password may contain a question mark too.
_OPTIONS: Final = re.compile(r"\?(?=[a-z_]+=)")


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a SQLite file or a PostgreSQL database."""

    url: URL
    #: The file of a SQLite database; None for a server.
    file: Path | None

    @classmethod
    def parse(cls, text: str, password: str = "") -> Self:
        """Parse a database URL; SettingsError if it is invalid, or of a kind we do not use."""
        try:
            url = make_url(_encode_passwords_ats(text))
        except (ArgumentError, ValueError):
            # The text is not repeated: it may contain a password.
            raise SettingsError("MODERATION_DATABASE_URL is not a database URL", hint=_FORMS) from None
        if "@" in (url.host or ""):
            # The host is not repeated: it begins with the end of the password.
            raise SettingsError("MODERATION_DATABASE_URL has an @ in its password", hint=_FORMS)
        if url.drivername not in _DRIVERS:
            raise SettingsError(
                f"MODERATION_DATABASE_URL begins with {url.drivername!r}; we use SQLite and PostgreSQL",
                hint=_FORMS,
            )
        url = url.set(drivername=_DRIVERS[url.drivername])
        if url.get_backend_name() == "sqlite":
            return cls(url, _file_of(url))
        return cls(url if url.password else url.set(password=password or None), None)

    def __str__(self) -> str:
        if self.file:
            return f"SQLite {self.file}"
        host = self.url.host or self.url.query.get("host") or "localhost"
        port = f":{self.url.port}" if self.url.port else ""
        return f"PostgreSQL {host}{port}/{self.url.database or self.url.username or ''}"


def _encode_passwords_ats(text: str) -> str:
    """Percent-encode each @ in a password: SQLAlchemy would end the password at the first."""
    if text.startswith("sqlite"):
        return text
    options = _OPTIONS.search(text)
    end = options.start() if options else len(text)
    login, at, place = text[:end].rpartition("@")
    return login.replace("@", "%40") + at + place + text[end:]


def _file_of(url: URL) -> Path:
    if url.host:
        raise SettingsError(
            f"MODERATION_DATABASE_URL names a host, {url.host!r}, but SQLite has none; a slash is missing",
            hint=_FORMS,
        )
    name = url.database or ":memory:"
    if name.startswith((":memory:", "file:")):
        raise SettingsError(
            f"MODERATION_DATABASE_URL says {name!r}, but workers share a database that lasts: name a file",
            hint=_FORMS,
        )
    return Path(name)
