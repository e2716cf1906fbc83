"""Parses http and https URLs, and shows them without the query, which may be a signature."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

#: Signed URLs are long; browsers and servers accept little more than this.
MAX_URL_CHARACTERS: Final = 4096

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
#: Visible ASCII except \ " < >: some parsers read the first as a slash; the others end a URL in a text.
_CHARACTERS: Final = re.compile(r"[!#-;=?-\[\]-~]+")
#: Host and port, nothing else. urlsplit alone reads `[::1]example.com` as `::1`.
_AUTHORITY: Final = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*)\.?)"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
)
#: Hosts that resolvers read as a number: 2130706433, 0177.0.0.1, 0x7f.1.
_ENDS_IN_A_NUMBER: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)")
#: URLs in any text, also in JSON with escaped slashes; cuts too much rather than leave a signature.
_QUERY: Final = re.compile(r"""([A-Za-z][A-Za-z0-9+.-]{0,20}:(?:\\*/){2}[^\s?#"<>]*+)[?#][^\s"<>]*+""")
_CREDENTIALS: Final = re.compile(r"(?<=//)[^/?#]*@")


@dataclass(frozen=True, slots=True)
class Url:
    """An http or https URL without credentials and fragment."""

    #: http or https.
    scheme: str
    #: Lower-case name, or an address without brackets.
    host: str
    port: int
    #: Path and query as sent.
    target: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `text`; ValueError, which never shows the query, if it is invalid."""
        if not 0 < len(text) <= MAX_URL_CHARACTERS:
            raise ValueError(f"a URL has 1 to {MAX_URL_CHARACTERS:,} characters, not {len(text):,}")
        if not _CHARACTERS.fullmatch(text):
            raise ValueError(r'a URL has visible ASCII characters except \ " < >: percent-encode others')
        scheme = text.partition(":")[0].lower()
        if scheme not in _DEFAULT_PORTS:
            raise ValueError(f"a URL begins with https:// or http://, {without_query(text)[:80]!r} does not")
        if "#" in text:
            raise ValueError("a URL has no fragment (#...) here")
        authority, target = _split(text)
        host, port = _host_and_port(authority)
        return cls(scheme, host, port or _DEFAULT_PORTS[scheme], target)

    @property
    def authority(self) -> str:
        """Host and port as in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        """Return the URL without its query."""
        return f"{self.scheme}://{self.authority}{self.target.partition('?')[0]}"

    def __repr__(self) -> str:
        return f"Url({str(self)!r})"


def without_query(url: str) -> str:
    """Return a URL, valid or not, without query, fragment and credentials."""
    return _CREDENTIALS.sub("", re.split(r"[?#]", url, maxsplit=1)[0], count=1)


def without_queries(text: str) -> str:
    """Return any text with the query of every URL in it removed."""
    return _QUERY.sub(r"\1", text)


def _split(text: str) -> tuple[str, str]:
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError(f"{without_query(text)[:80]!r} is not a URL") from None
    query = f"?{parts.query}" if "?" in text else ""
    return parts.netloc, (parts.path or "/") + query


def _host_and_port(authority: str) -> tuple[str, int | None]:
    if "@" in authority:
        raise ValueError("a URL cannot carry a user name or a password")
    found = _AUTHORITY.fullmatch(authority)
    if not found:
        raise ValueError(f"{authority[:80]!r} is not a host, or a host and a port")
    host = (found["ipv6"] or found["name"]).lower()
    _refuse_odd_address(host, is_ipv6=found["name"] is None)
    port = int(found["port"]) if found["port"] else None
    if len(host) > 253 or (port or 1) > 65535:
        raise ValueError(f"{authority[:80]!r} is not a host, or a host and a port")
    return host, port


def _refuse_odd_address(host: str, *, is_ipv6: bool) -> None:
    """Refuse spellings of addresses that resolvers understand and people do not."""
    try:
        if is_ipv6:
            ipaddress.IPv6Address(host)
        elif _ENDS_IN_A_NUMBER.fullmatch(host):
            ipaddress.IPv4Address(host)
    except ValueError:
        raise ValueError(
            f"{host[:80]!r} is not an address: IPv4 is four decimal numbers, IPv6 is in brackets"
        ) from None
