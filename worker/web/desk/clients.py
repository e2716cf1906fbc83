"""Who is at the other end: believes forwarded headers of our own proxies, and of nobody else."""

import ipaddress
from dataclasses import dataclass
from typing import Self

from fastapi import Request

from worker.errors import SettingsError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


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
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self.networks)


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


def origin_of(request: Request, proxies: TrustedProxies) -> RequestOrigin:
    """Return where a request comes from."""
    peer = request.client.host if request.client else ""
    by_proxy = proxies.trust(peer)
    is_https = request.url.scheme == "https"
    address = peer
    if by_proxy:
        is_https = is_https or _last(request, "X-Forwarded-Proto") == "https"
        address = _nearest_stranger(request, proxies) or peer
    is_local = _is_loopback(request.url.hostname or "") and _is_loopback(address)
    return RequestOrigin(address, by_proxy, is_https or is_local, is_https)


def _nearest_stranger(request: Request, proxies: TrustedProxies) -> str | None:
    """Return the last address that is no proxy of ours; what stands before it, anybody can have written."""
    listed = [part.strip() for line in request.headers.getlist("X-Forwarded-For") for part in line.split(",")]
    return next((address for address in reversed(listed) if address and not proxies.trust(address)), None)


def _last(request: Request, header: str) -> str:
    values = request.headers.getlist(header)
    return values[-1].rpartition(",")[2].strip().lower() if values else ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
