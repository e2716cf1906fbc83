"""HTTP with strangers: to addresses that the guard let through, by no proxy, one deadline for everything."""

import logging
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import httpcore2 as httpcore
from moderation_client.url import Url

from worker import __version__
from worker.concurrency.deadline import Deadline
from worker.errors import RemoteUnavailableError, UntrustedServerError
from worker.network.address_guard import AddressGuard
from worker.network.special_addresses import Address

#: Of a host's several addresses one may be dead; the others get their turn.
CONNECT_SECONDS: Final = 5.0
#: Of the answer to what was posted: enough for a server to finish what it says.
MAX_IGNORED_BYTES: Final = 64 * 1024
#: The status is known by then: a body that drips must not keep a place from the next request.
IGNORED_SECONDS: Final = 1.0
_USER_AGENT: Final = f"moderation-worker/{__version__}"

# At DEBUG it would log where redirects lead, signatures included.
logging.getLogger("httpcore2").setLevel(logging.INFO)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The head of a response, and its body as it arrives."""

    status: int
    #: Lower-case names; of a name that occurs twice, the last value.
    headers: Mapping[str, str]
    #: Not decompressed.
    chunks: Iterable[bytes]


@dataclass(frozen=True, slots=True)
class Reply:
    """The head of a response whose body is of no interest."""

    status: int
    #: As in `HttpResponse`.
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class GuardedHttp:
    """Sends requests to whatever the guard lets through; follows no redirect and keeps no connection."""

    guard: AddressGuard
    #: Checks certificates against the host's name; tests bring an authority of their own.
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    @contextmanager
    def get(self, url: Url, deadline: Deadline) -> Iterator[HttpResponse]:
        """Ask for `url` and yield the answer, whose body is read inside the block.

        AddressNotAllowedError where the guard objects, UntrustedServerError where the server is not who it
        claims to be, RemoteUnavailableError where it does not answer in time, or not in HTTP.
        """
        with self._asked("GET", url, {"Accept": "image/*, */*;q=0.5"}, None, deadline) as answer:
            yield answer

    def post(self, url: Url, headers: Mapping[str, str], body: bytes, deadline: Deadline) -> Reply:
        """Send `body` and return the answer's head, whatever its status is. Errors as in `get`."""
        with self._asked("POST", url, headers, body, deadline) as answer:
            deadline.shorten(IGNORED_SECONDS)
            _ignore(answer.chunks)
            return Reply(answer.status, answer.headers)

    @contextmanager
    def _asked(
        self, method: str, url: Url, more: Mapping[str, str], body: bytes | None, deadline: Deadline
    ) -> Iterator[HttpResponse]:
        headers = [
            ("Host", url.authority),
            ("User-Agent", _USER_AGENT),
            ("Accept-Encoding", "identity"),
            ("Connection", "close"),
            *more.items(),
        ]
        with _named_failures(url, deadline):
            backend = _PinnedBackend(self.guard.admit(url, deadline), deadline)
            target = httpcore.URL(
                scheme=url.scheme.encode(),
                host=url.host.encode(),
                port=url.port,
                target=url.target.encode(),
            )
            with (
                httpcore.HTTPConnection(target.origin, self.tls, network_backend=backend) as connection,
                connection.stream(method, target, headers=headers, content=body) as response,
            ):
                yield HttpResponse(response.status, _decoded(response.headers), response.iter_stream())


class _PinnedBackend(httpcore.NetworkBackend):
    """Connects to addresses that were checked, whatever name it is asked for: nothing is resolved again."""

    def __init__(self, addresses: Sequence[Address], deadline: Deadline) -> None:
        self._addresses, self._deadline = addresses, deadline
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - the base's form; the whole point is not to use it
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the deadline stands in for it
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        *others, last = self._addresses
        for address in others:
            try:
                return self._connect(address, port, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return self._connect(last, port, local_address, socket_options)

    def _connect(self, address: Address, port: int, *options: Any) -> httpcore.NetworkStream:
        timeout = min(self._deadline.remaining(), CONNECT_SECONDS)
        return _HurriedStream(
            self._sockets.connect_tcp(str(address), port, timeout, *options), self._deadline
        )


class _HurriedStream(httpcore.NetworkStream):
    """A connection whose every wait ends with the deadline: a byte a second does not keep it open."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - the base's form
        return self._stream.read(max_bytes, self._deadline.remaining())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - the base's form
        self._stream.write(buffer, self._deadline.remaining())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 - the base's form
    ) -> httpcore.NetworkStream:
        secure = self._stream.start_tls(ssl_context, server_hostname, self._deadline.remaining())
        return _HurriedStream(secure, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


@contextmanager
def _named_failures(url: Url, deadline: Deadline) -> Iterator[None]:
    """Raise our errors for whatever goes wrong on the way; none shows what the server sent."""
    try:
        yield
    except httpcore.ConnectTimeout as error:
        raise RemoteUnavailableError(f"{url.host} does not answer") from error
    except (TimeoutError, httpcore.TimeoutException) as error:
        raise RemoteUnavailableError(f"{url.host} did not answer within {deadline.seconds:g} s") from error
    except httpcore.NetworkError as error:
        if isinstance(error.__cause__, ssl.SSLCertVerificationError):
            reason = error.__cause__.verify_message
            raise UntrustedServerError(f"{url.host} has no valid certificate: {reason}") from error
        reason = getattr(error.__cause__, "strerror", None) or "the connection broke"
        raise RemoteUnavailableError(f"{url.host} does not answer: {reason.lower()}") from error
    except httpcore.ProtocolError as error:
        raise RemoteUnavailableError(f"{url.host} does not answer in proper HTTP") from error


def _ignore(chunks: Iterable[bytes]) -> None:
    """Let a server finish what it says; what becomes of that changes nothing about its status."""
    size = 0
    with suppress(TimeoutError, httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        for chunk in chunks:
            size += len(chunk)
            if size > MAX_IGNORED_BYTES:
                return


def _decoded(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("ascii").lower(): value.decode("latin-1") for name, value in headers}
