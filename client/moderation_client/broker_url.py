"""Parses broker URLs: kind, servers, login and TLS options."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import parse_qsl, quote, unquote

from moderation_client.errors import SettingsError


class BrokerKind(Enum):
    """The kinds of broker."""

    REDIS = "redis"
    #: Redis behind Sentinels, which know the primary.
    SENTINEL = "sentinel"
    REDIS_SOCKET = "redis+socket"
    RABBITMQ = "amqp"
    #: In this process: for tests of a platform.
    MEMORY = "memory"


_KINDS: Final = {
    "redis": BrokerKind.REDIS,
    "rediss": BrokerKind.REDIS,
    "sentinel": BrokerKind.SENTINEL,
    "redis+socket": BrokerKind.REDIS_SOCKET,
    "amqp": BrokerKind.RABBITMQ,
    "amqps": BrokerKind.RABBITMQ,
    "pyamqp": BrokerKind.RABBITMQ,
    "memory": BrokerKind.MEMORY,
}
#: Valkey speaks Redis's protocol; `unix` is redis-py's name for a socket.
_ALIASES: Final = {"valkey": "redis", "valkeys": "rediss", "unix": "redis+socket"}
_TLS_SCHEMES: Final = {"rediss", "amqps"}

_TLS_OPTIONS: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
_OPTIONS: Final = {
    BrokerKind.REDIS: _TLS_OPTIONS,
    BrokerKind.SENTINEL: (*_TLS_OPTIONS, "ssl", "master_name", "sentinel_username", "sentinel_password"),
    BrokerKind.REDIS_SOCKET: ("db", "virtual_host"),
    BrokerKind.RABBITMQ: (*_TLS_OPTIONS, "heartbeat", "login_method"),
}
_WORDS: Final = ("ssl", "ssl_cert_reqs", "ssl_check_hostname")
_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_CERT_REQS: Final = {
    "required": ssl.CERT_REQUIRED,
    "optional": ssl.CERT_OPTIONAL,
    "none": ssl.CERT_NONE,
}

_EXAMPLES: Final = (
    "for example redis://:password@127.0.0.1:6379/0, rediss://, sentinel://host:26379/0?master_name=NAME, "
    "redis+socket:///run/redis.sock or amqp://user:password@host//; characters such as # / @ : % ? in a "
    "password are written as %23 %2F %40 %3A %25 %3F"
)
_SERVER: Final = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^][:/?#@\s]*)(?::(?P<port>\d+))?(?P<path>/.*)?", re.DOTALL
)
#: Separates the URLs of several servers.
_NEXT: Final = re.compile(r";(?=[A-Za-z+]+://)")


@dataclass(frozen=True, slots=True)
class Server:
    """One server of a broker."""

    host: str
    port: int | None
    username: str
    password: str
    #: After the slash: Redis's database, RabbitMQ's virtual host, a socket's file.
    path: str


@dataclass(frozen=True, slots=True, repr=False)
class BrokerUrl:
    """A parsed broker URL; `str` shows it without passwords."""

    kind: BrokerKind
    scheme: str
    #: In failover order: the next one if one does not answer. For Sentinel, the Sentinels of one group.
    servers: tuple[Server, ...]
    options: Mapping[str, str]

    @classmethod
    def parse(cls, text: str, setting: str = "MODERATION_BROKER_URL") -> Self:
        """Parse the value of a setting; SettingsError, which never shows a password, if it is invalid.

        A password may contain unencoded special characters: the login ends at the last @.
        """
        try:
            return cls._parse(text.strip())
        except _InvalidUrlError as problem:
            raise SettingsError(f"{setting} is not a broker URL: {problem}", hint=_EXAMPLES) from None

    @classmethod
    def _parse(cls, text: str) -> Self:
        written, separator, _ = text.partition("://")
        scheme = _ALIASES.get(written, written)
        if not separator:
            raise _InvalidUrlError("it does not begin with a scheme such as redis://")
        if (kind := _KINDS.get(scheme)) is None:
            known = ", ".join([*_KINDS, *_ALIASES])
            shown = written[:20] if re.fullmatch(r"[A-Za-z0-9+.-]+", written) else "its beginning"
            raise _InvalidUrlError(f"{shown!r} is not a supported scheme; supported are {known}")
        if kind is BrokerKind.MEMORY:
            return cls(kind, scheme, (), {})
        servers: list[Server] = []
        options: dict[str, str] = {}
        for part in _NEXT.split(text):
            server, found = _parse_server(kind, part.partition("://")[2])
            servers.append(server)
            # kombu's URLs write some values as True or CERT_NONE.
            options |= {n: v.lower().removeprefix("cert_") if n in _WORDS else v for n, v in found.items()}
        _check_options(kind, scheme, options)
        if kind is BrokerKind.SENTINEL:
            servers = _with_shared_login(servers)
        return cls(kind, scheme, tuple(servers), options)

    @property
    def is_redis(self) -> bool:
        """Whether the broker is Redis: by TCP, by a socket or behind Sentinels."""
        return self.kind in {BrokerKind.REDIS, BrokerKind.SENTINEL, BrokerKind.REDIS_SOCKET}

    @property
    def is_rabbitmq(self) -> bool:
        """Whether the broker is RabbitMQ."""
        return self.kind is BrokerKind.RABBITMQ

    @property
    def uses_tls(self) -> bool:
        """Whether connections are encrypted."""
        if self.kind is BrokerKind.SENTINEL:
            return self.options.get("ssl", "true") != "false" and any(
                n.startswith("ssl") for n in self.options
            )
        return self.scheme in _TLS_SCHEMES

    @property
    def database(self) -> int:
        """The number of the Redis database."""
        if self.kind is BrokerKind.REDIS_SOCKET:
            return int(self.options.get("db") or self.options.get("virtual_host") or 0)
        return int(self.servers[0].path or 0)

    @property
    def tls_options(self) -> dict[str, Any]:
        """TLS options for redis-py: certificate and host name are verified unless switched off."""
        if not self.uses_tls:
            return {}
        reqs = _CERT_REQS[self.options.get("ssl_cert_reqs", "required")]
        checks = self.options.get("ssl_check_hostname") != "false"
        files = {name: self.options[name] for name in _FILES if name in self.options}
        return {"ssl_cert_reqs": reqs, "ssl_check_hostname": checks and reqs != ssl.CERT_NONE, **files}

    @property
    def for_kombu(self) -> str:
        """The URL for kombu: passwords percent-encoded, without the options that are passed separately."""
        if self.kind is BrokerKind.MEMORY:
            return "memory://"
        return ";".join(self._server_for_kombu(server) for server in self.servers)

    def _server_for_kombu(self, server: Server) -> str:
        login = f"{quote(server.username, '')}:{quote(server.password, '')}@"
        login = login if server.username or server.password else ""
        if self.kind is BrokerKind.REDIS_SOCKET:
            return f"{self.scheme}://{login}{quote(server.path)}?virtual_host={self.database}"
        kept = {n: self.options[n] for n in ("heartbeat", "login_method") if n in self.options}
        query = "?" + "&".join(f"{name}={quote(value)}" for name, value in kept.items()) if kept else ""
        return f"{self.scheme}://{login}{_host_and_port(server)}/{quote(server.path)}{query}"

    def __str__(self) -> str:
        if self.kind is BrokerKind.MEMORY:
            return "memory://"
        return ";".join(self._server_shown(server) for server in self.servers)

    def _server_shown(self, server: Server) -> str:
        # A user name without a password may be a misplaced password.
        login = f"{server.username}:**@" if server.password else "**@" if server.username else ""
        if self.kind is BrokerKind.REDIS_SOCKET:
            return f"{self.scheme}://{login}{server.path}"
        return f"{self.scheme}://{login}{_host_and_port(server)}/{server.path}"

    def __repr__(self) -> str:
        return f"BrokerUrl({str(self)!r})"


class _InvalidUrlError(ValueError):
    """A URL is invalid; the message contains nothing secret."""


def _parse_server(kind: BrokerKind, rest: str) -> tuple[Server, dict[str, str]]:
    rest, options = _split_options(kind, rest)
    login, _, place = rest.rpartition("@")
    username, _, password = login.partition(":")
    username, password = unquote(username), unquote(password)
    if kind is BrokerKind.REDIS_SOCKET:
        return Server("", None, username, password, _socket_path(place)), options
    found = _SERVER.fullmatch(place)
    if not found or not 0 < int(found["port"] or 1) < 2**16:
        raise _InvalidUrlError("host or port cannot be read")
    path = unquote((found["path"] or "/")[1:])
    if kind is not BrokerKind.RABBITMQ and path and not path.isdecimal():
        raise _InvalidUrlError("after the host comes the number of a database, such as /0")
    port = int(found["port"]) if found["port"] else None
    return Server(found["host"] or "127.0.0.1", port, username, password, path), options


def _with_shared_login(sentinels: list[Server]) -> list[Server]:
    """Give every Sentinel the login and the database of the primary, which one of the URLs names."""
    login = next((one for one in sentinels if one.username or one.password), sentinels[0])
    path = next((one.path for one in sentinels if one.path), "")
    return [Server(one.host, one.port, login.username, login.password, path) for one in sentinels]


def _split_options(kind: BrokerKind, rest: str) -> tuple[str, dict[str, str]]:
    """Split off the options, recognised by name: a password may contain a question mark."""
    names = "|".join(_OPTIONS[kind])
    if found := re.search(rf"\?(?=(?:{names})=)", rest):
        pairs = parse_qsl(rest[found.end() :], keep_blank_values=True)
        return rest[: found.start()], dict(pairs)
    place, mark, query = rest.rpartition("@")[2].partition("?")
    if mark and _SERVER.fullmatch(place):
        raise _InvalidUrlError(f"{query.partition('=')[0][:40]!r} is not an option; {_known(kind)}")
    return rest, {}


def _check_options(kind: BrokerKind, scheme: str, options: Mapping[str, str]) -> None:
    for name in options:
        if name not in _OPTIONS[kind]:
            raise _InvalidUrlError(f"{name[:40]!r} is not an option; {_known(kind)}")
        if name.startswith("ssl") and scheme not in _TLS_SCHEMES and kind is not BrokerKind.SENTINEL:
            raise _InvalidUrlError(f"the option {name} needs TLS: write {scheme}s://")
    if kind is BrokerKind.SENTINEL and not options.get("master_name"):
        raise _InvalidUrlError("Sentinels need the name of the primary, ?master_name=NAME")
    _check_values(options)


def _check_values(options: Mapping[str, str]) -> None:
    if options.get("ssl_cert_reqs", "required") not in _CERT_REQS:
        raise _InvalidUrlError(f"ssl_cert_reqs is one of {', '.join(_CERT_REQS)}")
    for name in ("ssl", "ssl_check_hostname"):
        if options.get(name, "true") not in {"true", "false"}:
            raise _InvalidUrlError(f"{name} is true or false")
    for name in _FILES:
        if name in options and not Path(options[name]).is_file():
            raise _InvalidUrlError(f"there is no file {options[name]} ({name})")
    for name in ("db", "virtual_host", "heartbeat"):
        if not options.get(name, "0").isdecimal():
            raise _InvalidUrlError(f"{name} is a number")


def _known(kind: BrokerKind) -> str:
    return f"known are {', '.join(_OPTIONS[kind])}"


def _socket_path(place: str) -> str:
    path = unquote(place)
    if not path.startswith("/"):
        raise _InvalidUrlError("a socket's file begins with a slash, redis+socket:///run/redis.sock")
    return path


def _host_and_port(server: Server) -> str:
    return server.host + (f":{server.port}" if server.port else "")
