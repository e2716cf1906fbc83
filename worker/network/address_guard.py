"""Decides where a URL that a stranger wrote may lead: hosts the operator allows, at public addresses."""

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self

from worker.domain.url import Url
from worker.errors import AddressNotAllowedError, RemoteUnavailableError, SettingsError
from worker.network.deadline import Deadline
from worker.network.special_addresses import Address, what_is_special

ANY_PUBLIC: Final = "any-public"
NO_HOST: Final = "none"
WEB_PORTS: Final = frozenset({80, 443})

_PATTERN: Final = re.compile(r"(?:\*\.)?[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})+")

#: From a host's name and a port to its addresses, as text.
Resolve = Callable[[str, int], Sequence[str]]


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """The hosts that an operator lets workers talk to."""

    #: Names, or `*.name` for all names below one.
    patterns: tuple[str, ...] = ()
    any_public: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a setting: `none`, `any-public`, or names with commas between; SettingsError otherwise."""
        words = [word for word in re.split(r"[,\s]+", text.strip().lower()) if word]
        if words in ([], [NO_HOST]):
            return cls()
        if words == [ANY_PUBLIC]:
            return cls(any_public=True)
        for word in words:
            if not _PATTERN.fullmatch(word):
                raise SettingsError(
                    f"{word[:80]!r} is not a host's name",
                    hint=f"cdn.example.com, *.example.com, several with commas, {NO_HOST} or {ANY_PUBLIC}",
                )
        return cls(tuple(words))

    def __contains__(self, host: str) -> bool:
        return self.any_public or any(
            host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern
            for pattern in self.patterns
        )


def resolve(host: str, port: int) -> Sequence[str]:
    """Ask this machine's resolver, for the kinds of addresses that this machine has itself."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [str(address[0]) for *_, address in found]


@dataclass(frozen=True, slots=True)
class AddressGuard:
    """Lets a URL through by returning the addresses to connect to; whoever asks uses these and no others.

    The fields beyond `hosts` are what tests on a machine without a network replace; no setting does.
    """

    hosts: AllowedHosts
    resolve: Resolve = resolve
    what_is_special: Callable[[Address], str] = what_is_special
    ports: frozenset[int] = WEB_PORTS
    #: The way out for who may not go where the URL leads.
    hint: str = "MODERATION_URL_HOSTS names the hosts that pictures are fetched from"

    def check(self, url: Url) -> None:
        """Raise AddressNotAllowedError for what no resolver can change: the host, the port, an address."""
        if url.host not in self.hosts:
            raise AddressNotAllowedError(
                f"the host {url.host} is not one that is talked to from here", hint=self.hint
            )
        if url.port not in self.ports:
            raise AddressNotAllowedError(f"port {url.port} of {url.host}: only 80 and 443 are talked to")
        with suppress(ValueError):  # a name
            self._refuse_special(url, [ipaddress.ip_address(url.host)])

    def admit(self, url: Url, deadline: Deadline) -> list[Address]:
        """Return the addresses of a URL's host, resolved once; all of them are public.

        AddressNotAllowedError where one is not, or the host or the port is not allowed;
        RemoteUnavailableError where the name has no address now; TimeoutError.
        """
        self.check(url)
        addresses = self._addresses(url, deadline)
        self._refuse_special(url, addresses)
        return addresses

    def _refuse_special(self, url: Url, addresses: Sequence[Address]) -> None:
        for address in addresses:
            if kind := self.what_is_special(address):
                raise AddressNotAllowedError(f"{url.host} has the address {address}, which is {kind}")

    def _addresses(self, url: Url, deadline: Deadline) -> list[Address]:
        try:
            return [ipaddress.ip_address(url.host)]
        except ValueError:
            pass  # a name
        try:
            found = deadline.await_result(lambda: self.resolve(url.host, url.port))
        except TimeoutError:
            raise
        except (OSError, UnicodeError) as problem:
            reason = getattr(problem, "strerror", None) or "it is no name"
            raise RemoteUnavailableError(f"the name {url.host} has no address: {reason.lower()}") from problem
        if not found:
            raise RemoteUnavailableError(f"the name {url.host} has no address")
        return list(dict.fromkeys(map(ipaddress.ip_address, found)))
