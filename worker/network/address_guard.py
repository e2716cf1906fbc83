"""Allows an untrusted URL only if it leads to an allowed public host or an explicitly named internal one."""

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self

from moderation_client.url import Url

from worker.concurrency.deadline import Deadline
from worker.errors import AddressNotAllowedError, RemoteUnavailableError, SettingsError
from worker.network.special_addresses import Address, may_be_named, what_is_special

ANY_PUBLIC: Final = "any-public"
NO_HOST: Final = "none"
WEB_PORTS: Final = frozenset({80, 443})

_PATTERN: Final = re.compile(r"(?:\*\.)?[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})+")
_HAS_PORT: Final = re.compile(r"[^:/]+:[0-9]+|\[[^/]+\]:[0-9]+")

#: Resolves a host name and a port to addresses, as text.
Resolve = Callable[[str, int], Sequence[str]]


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """The hosts that workers may connect to."""

    #: Names, or `*.name` for all names below one: only public addresses, on ports 80 and 443.
    patterns: tuple[str, ...] = ()
    any_public: bool = False
    #: Hosts with their ports: internal addresses too.
    exact: frozenset[tuple[str, int]] = frozenset()

    @classmethod
    def parse(cls, text: str, setting: str = "MODERATION_URL_HOSTS") -> Self:
        """Parse the value of `setting`; SettingsError if a word is no host, host with a port, or keyword.

        The value is `none`, or a comma-separated list of hosts and of hosts with ports. `any-public` replaces
        the hosts.
        """
        words = [word for word in re.split(r"[,\s]+", text.strip().lower()) if word]
        if words in ([], [NO_HOST]):
            return cls()
        exact = frozenset(_host_and_port(word, setting) for word in words if _HAS_PORT.fullmatch(word))
        names = [word for word in words if not _HAS_PORT.fullmatch(word)]
        if names == [ANY_PUBLIC]:
            return cls(any_public=True, exact=exact)
        for word in names:
            if not _PATTERN.fullmatch(word):
                raise _not_a_host(word, setting)
        return cls(tuple(names), exact=exact)

    def __contains__(self, host: str) -> bool:
        return self.any_public or any(
            host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern
            for pattern in self.patterns
        )

    def names_exactly(self, url: Url) -> bool:
        """Whether the list contains this URL's host with its port."""
        return (_canonical(url.host), url.port) in self.exact


def _host_and_port(word: str, setting: str) -> tuple[str, int]:
    try:
        url = Url.parse(f"http://{word}/")
    except ValueError:
        raise _not_a_host(word, setting) from None
    return _canonical(url.host), url.port


def _canonical(host: str) -> str:
    """Return an IP address in canonical form, a name unchanged."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host


def _not_a_host(word: str, setting: str) -> SettingsError:
    return SettingsError(
        f"{setting}: {word[:80]!r} is neither a host's name nor a host and a port",
        hint=f"cdn.example.com, *.example.com, platform.internal:8080, several with commas, {NO_HOST} or "
        f"{ANY_PUBLIC}",
    )


def resolve(host: str, port: int) -> Sequence[str]:
    """Resolve a name on this machine, to IPv4 or IPv6 only if this machine has such an address."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [str(address[0]) for *_, address in found]


@dataclass(frozen=True, slots=True)
class AddressGuard:
    """Checks a URL and returns the addresses to connect to; the caller connects to these and no others.

    Tests replace the fields after `hosts` on a machine without a network; no setting does.
    """

    hosts: AllowedHosts
    resolve: Resolve = resolve
    what_is_special: Callable[[Address], str] = what_is_special
    ports: frozenset[int] = WEB_PORTS
    #: The setting that `hosts` came from, for messages.
    setting: str = "MODERATION_URL_HOSTS"

    def check(self, url: Url) -> None:
        """Raise AddressNotAllowedError for a host, a port or a literal address that is not allowed.

        Resolves no name.
        """
        if not self.hosts.names_exactly(url):
            if url.host not in self.hosts:
                raise AddressNotAllowedError(f"the host {url.host} is not allowed here", hint=self._hint(url))
            if url.port not in self.ports:
                raise AddressNotAllowedError(
                    f"port {url.port} of {url.host} is not allowed: only 80 and 443 are", hint=self._hint(url)
                )
        with suppress(ValueError):  # a name
            self._refuse_special(url, [ipaddress.ip_address(url.host)])

    def admit(self, url: Url, deadline: Deadline) -> list[Address]:
        """Resolve a URL's host once and return its addresses, all of them allowed.

        AddressNotAllowedError if one of them, the host or the port is not allowed;
        RemoteUnavailableError if the name has no address now; TimeoutError at the deadline.
        """
        self.check(url)
        addresses = self._addresses(url, deadline)
        self._refuse_special(url, addresses)
        return addresses

    def _refuse_special(self, url: Url, addresses: Sequence[Address]) -> None:
        for address in addresses:
            kind = self.what_is_special(address)
            if not kind or (self.hosts.names_exactly(url) and may_be_named(address)):
                continue
            hint = self._hint(url) if may_be_named(address) else "no setting allows this address"
            raise AddressNotAllowedError(f"{url.host} has the address {address}, which is {kind}", hint=hint)

    def _hint(self, url: Url) -> str:
        host = f"[{url.host}]" if ":" in url.host else url.host
        return f"{self.setting} lists the allowed hosts; add {host}:{url.port} to allow this one"

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
            reason = getattr(problem, "strerror", None) or "it is not a valid name"
            raise RemoteUnavailableError(f"the name {url.host} has no address: {reason.lower()}") from problem
        if not found:
            raise RemoteUnavailableError(f"the name {url.host} has no address")
        return list(dict.fromkeys(map(ipaddress.ip_address, found)))
