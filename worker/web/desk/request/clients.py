"""Finds a request's client; only trusted proxies' X-Forwarded headers count."""

import ipaddress
import logging
import re
from dataclasses import dataclass
from typing import Final, Self

from fastapi import Request

from worker.errors import SettingsError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

log = logging.getLogger(__name__)

#: A provider gives each IPv6 customer at least this network; the customer can use any address in it.
_IPV6_PREFIX: Final = 64
#: `203.0.113.9:1234`, as some proxies write an address, and `[2001:db8::1]:443` or `[2001:db8::1]`.
_WITH_PORT: Final = re.compile(r"(?P<v4>[0-9.]+):[0-9]{1,5}|\[(?P<v6>[0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?")
#: Untrusted peers that forward addresses and are warned of, each once.
_MAX_WARNED: Final = 32


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """Addresses and networks of trusted proxies."""

    networks: tuple[Network, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `10.0.0.1, 10.1.0.0/16`; SettingsError if one is not an address or network."""
        networks = []
        for part in filter(None, (part.strip() for part in text.split(","))):
            try:
                networks.append(ipaddress.ip_network(part))
            except ValueError as problem:
                raise SettingsError(
                    f"MODERATION_TRUSTED_PROXIES: {problem}",
                    hint="addresses and networks: 10.0.0.1, 10.1.0.0/16",
                ) from None
        return cls(tuple(networks))

    def trust(self, address: str) -> bool:
        """Whether this is the address of a trusted proxy."""
        found = _parsed(address)
        return found is not None and any(found in network for network in self.networks)


@dataclass(frozen=True, slots=True)
class RequestOrigin:
    """The client of a request."""

    #: The client's address, as trusted proxies forward it.
    address: str
    #: Whether the request came through a trusted proxy.
    by_proxy: bool
    #: Whether no one in between can have read it: TLS, or the same machine.
    is_private: bool
    #: Whether the browser used https.
    is_https: bool
    #: The path for which the browser sends the desk's cookies.
    cookie_path: str = "/"

    @property
    def rate_limit_key(self) -> str:
        """Return the key of the login limit: an IPv4 address, or the network of an IPv6 address."""
        found = _parsed(self.address)
        if isinstance(found, ipaddress.IPv6Address):
            return str(ipaddress.ip_network((found, _IPV6_PREFIX), strict=False))
        return str(found) if found else self.address


def origin_of(request: Request, proxies: TrustedProxies, cookie_path: str = "/") -> RequestOrigin:
    """Return the client of a request."""
    peer = request.client.host if request.client else ""
    by_proxy = proxies.trust(peer)
    is_https = request.url.scheme == "https"
    address = peer
    if by_proxy:
        is_https = is_https or _last(request, "X-Forwarded-Proto") == "https"
        address = _nearest_untrusted(request, proxies) or peer
    is_forwarded = not by_proxy and "X-Forwarded-For" in request.headers
    if is_forwarded:
        _warn_untrusted(peer)
    # Behind an unlisted proxy on this machine, every request seems to be local.
    is_local = not is_forwarded and _is_loopback(request.url.hostname or "") and _is_loopback(address)
    return RequestOrigin(address, by_proxy, is_https or is_local, is_https, cookie_path)


def _nearest_untrusted(request: Request, proxies: TrustedProxies) -> str | None:
    """Return the last address that is not a trusted proxy's; a client can forge those before it."""
    listed = [part.strip() for line in request.headers.getlist("X-Forwarded-For") for part in line.split(",")]
    nearest = None
    for part in reversed(listed):
        found = _parsed(part)
        if found is None:
            # "unknown", or garbage: the proxy that wrote it is the last known address.
            return nearest
        nearest = str(found)
        if not proxies.trust(nearest):
            return nearest
    return nearest


def _parsed(text: str) -> Address | None:
    """Parse an address, dropping port and brackets; IPv4 if it is IPv4-mapped IPv6; None if invalid."""
    if found := _WITH_PORT.fullmatch(text):
        text = found["v4"] or found["v6"]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


_warned: set[str] = set()


def _warn_untrusted(peer: str) -> None:
    """Warn once that an untrusted peer forwards addresses; any client can do so."""
    if peer in _warned or len(_warned) >= _MAX_WARNED:
        return
    _warned.add(peer)
    log.warning(
        "X-Forwarded-For from %s is ignored, because MODERATION_TRUSTED_PROXIES does not name it; if it is"
        " your proxy, name it: until then all people behind it share one login limit, and the desk takes"
        " https for http",
        peer,
    )


def _last(request: Request, header: str) -> str:
    values = request.headers.getlist(header)
    return values[-1].rpartition(",")[2].strip().lower() if values else ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    found = _parsed(host)
    return found is not None and found.is_loopback
