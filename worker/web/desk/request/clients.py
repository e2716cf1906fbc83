"""Where a request comes from: believes the forwarded headers of trusted proxies, and no others."""

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

#: An IPv6 customer has at least this much, and takes any address in it.
_IPV6_PREFIX: Final = 64
#: `203.0.113.9:1234`, as some proxies write an address, and `[2001:db8::1]:443` or `[2001:db8::1]`.
_WITH_PORT: Final = re.compile(r"(?P<v4>[0-9.]+):[0-9]{1,5}|\[(?P<v6>[0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?")
#: Peers of which the log says once that they are no trusted proxies.
_MOST_NAMED: Final = 32


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The addresses whose word counts."""

    networks: tuple[Network, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `10.0.0.1, 10.1.0.0/16`; SettingsError where one is no address."""
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
        """Whether this is an address of a proxy of ours."""
        found = _parsed(address)
        return found is not None and any(found in network for network in self.networks)


@dataclass(frozen=True, slots=True)
class RequestOrigin:
    """Where a request comes from."""

    #: The person's, as far as our proxies tell it.
    address: str
    #: Whether it came through a proxy of ours.
    by_proxy: bool
    #: Whether nobody between can have read it: TLS, or no network at all.
    is_private: bool
    #: Whether the browser was told an https address.
    is_https: bool
    #: Below which path the browser sends our cookies.
    cookie_path: str = "/"

    @property
    def limited_as(self) -> str:
        """Return what shares one limit: an IPv4 address, or the network of an IPv6 one."""
        found = _parsed(self.address)
        if isinstance(found, ipaddress.IPv6Address):
            return str(ipaddress.ip_network((found, _IPV6_PREFIX), strict=False))
        return str(found) if found else self.address


def origin_of(request: Request, proxies: TrustedProxies, cookie_path: str = "/") -> RequestOrigin:
    """Return where a request comes from."""
    peer = request.client.host if request.client else ""
    by_proxy = proxies.trust(peer)
    is_https = request.url.scheme == "https"
    address = peer
    if by_proxy:
        is_https = is_https or _last(request, "X-Forwarded-Proto") == "https"
        address = _nearest_untrusted(request, proxies) or peer
    is_forwarded = not by_proxy and "X-Forwarded-For" in request.headers
    if is_forwarded:
        _warn_of(peer)
    # Behind a proxy on this machine that is not named, everybody comes from here.
    is_local = not is_forwarded and _is_loopback(request.url.hostname or "") and _is_loopback(address)
    return RequestOrigin(address, by_proxy, is_https or is_local, is_https, cookie_path)


def _nearest_untrusted(request: Request, proxies: TrustedProxies) -> str | None:
    """Return the last address that is no trusted proxy; what stands before it, a client can have written."""
    listed = [part.strip() for line in request.headers.getlist("X-Forwarded-For") for part in line.split(",")]
    nearest = None
    for part in reversed(listed):
        found = _parsed(part)
        if found is None:
            # "unknown", or nonsense: the proxy that wrote it is the last that is known.
            return nearest
        nearest = str(found)
        if not proxies.trust(nearest):
            return nearest
    return nearest


def _parsed(text: str) -> Address | None:
    """Return an address without its port and brackets, as IPv4 if it is one in IPv6's clothes; else None."""
    if found := _WITH_PORT.fullmatch(text):
        text = found["v4"] or found["v6"]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


_warned: set[str] = set()


def _warn_of(peer: str) -> None:
    """Say once that a peer forwards addresses and is not trusted to; a client can do so too."""
    if peer in _warned or len(_warned) >= _MOST_NAMED:
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
