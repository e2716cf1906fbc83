"""HTTP to untrusted servers: only at addresses that the guard allows, without a proxy, under one deadline."""

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

#: Of a host's several addresses one may be down; the next one is tried after this.
CONNECT_SECONDS: Final = 5.0
#: Bytes read of the response to a POST, so that the server can finish sending it.
MAX_DRAINED_BYTES: Final = 64 * 1024
#: The status is known by then: a slow body must not hold up the next request.
DRAIN_SECONDS: Final = 1.0
_USER_AGENT: Final = f"moderation-worker/{__version__}"

# At DEBUG it would log the targets of redirects, signatures included.
logging.getLogger("httpcore2").setLevel(logging.INFO)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The head of a response, and its body as it arrives."""

    status: int
    #: Names in lower case; if a name occurs twice, its last value.
    headers: Mapping[str, str]
    #: Not decompressed.
    chunks: Iterable[bytes]


@dataclass(frozen=True, slots=True)
class Reply:
    """The head of a response whose body was discarded."""

    status: int
    #: As in `HttpResponse`.
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class GuardedHttp:
    """Sends requests to URLs that the guard allows; follows no redirect and reuses no connection."""

    guard: AddressGuard
    #: Verifies certificates against the host name; tests add their own authority.
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    @contextmanager
    def get(self, url: Url, deadline: Deadline) -> Iterator[HttpResponse]:
        """Request `url` and yield the response; its body is read inside the block.

        AddressNotAllowedError if the guard refuses the URL, UntrustedServerError if the server's certificate
        is not valid, RemoteUnavailableError if the server does not answer in time, or not in HTTP.
        """
        with self._request("GET", url, {"Accept": "image/*, */*;q=0.5"}, None, deadline) as response:
            yield response

    def post(self, url: Url, headers: Mapping[str, str], body: bytes, deadline: Deadline) -> Reply:
        """Send `body` and return the head of the response, whatever its status. Raises as `get` does."""
        with self._request("POST", url, headers, body, deadline) as response:
            deadline.shorten(DRAIN_SECONDS)
            _drain(response.chunks)
            return Reply(response.status, response.headers)

    @contextmanager
    def _request(
        self, method: str, url: Url, extra_headers: Mapping[str, str], body: bytes | None, deadline: Deadline
    ) -> Iterator[HttpResponse]:
        headers = [
            ("Host", url.authority),
            ("User-Agent", _USER_AGENT),
            ("Accept-Encoding", "identity"),
            ("Connection", "close"),
            *extra_headers.items(),
        ]
        with _translated_errors(url, deadline):
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
    """Connects to addresses that were checked, whatever the host name: nothing is resolved again."""

    def __init__(self, addresses: Sequence[Address], deadline: Deadline) -> None:
        self._addresses, self._deadline = addresses, deadline
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - required by the base class; not using it is the point
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the deadline replaces it
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
        return _DeadlineStream(
            self._sockets.connect_tcp(str(address), port, timeout, *options), self._deadline
        )


class _DeadlineStream(httpcore.NetworkStream):
    """Limits every read and write by the deadline: a byte a second does not keep a connection open."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - the base's signature
        return self._stream.read(max_bytes, self._deadline.remaining())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - the base's signature
        self._stream.write(buffer, self._deadline.remaining())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 - the base's signature
    ) -> httpcore.NetworkStream:
        secure = self._stream.start_tls(ssl_context, server_hostname, self._deadline.remaining())
        return _DeadlineStream(secure, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


@contextmanager
def _translated_errors(url: Url, deadline: Deadline) -> Iterator[None]:
    """Translate network errors into ours; no message quotes what the server sent."""
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


def _drain(chunks: Iterable[bytes]) -> None:
    """Read and discard a body so that the server can finish; failures do not change the status."""
    size = 0
    with suppress(TimeoutError, httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        for chunk in chunks:
            size += len(chunk)
            if size > MAX_DRAINED_BYTES:
                return


def _decoded(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("ascii").lower(): value.decode("latin-1") for name, value in headers}
