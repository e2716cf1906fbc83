"""A web server on loopback with a scripted behaviour, however invalid."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Site:
    """A running server, and a record of its requests."""

    port: int
    #: The head of every request, in order.
    requests: list[str] = field(default_factory=list)
    #: Number of bytes sent.
    sent: int = 0
    #: Released once for each connection that has ended.
    left: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    @property
    def paths(self) -> list[str]:
        return [request.split()[1] for request in self.requests]


class Visit:
    """The server side of one connection."""

    def __init__(self, site: Site, connection: socket.socket, path: str) -> None:
        self.site, self.path, self._connection = site, path, connection

    def send(self, data: bytes | str) -> None:
        data = data.encode() if isinstance(data, str) else data
        self._connection.sendall(data)
        self.site.sent += len(data)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        named = {"Content-Length": str(len(body))} | {n.replace("_", "-"): v for n, v in headers.items()}
        lines = "".join(f"{name}: {value}\r\n" for name, value in named.items() if value)
        self.send(f"HTTP/1.1 {status} Whatever\r\n{lines}\r\n".encode() + body)

    def wait_until_left(self) -> None:
        self._connection.recv(1)


Respond = Callable[[Visit], None]


@contextmanager
def serving(
    respond: Respond, tls: ssl.SSLContext | None = None, *, read_request: bool = True
) -> Iterator[Site]:
    """Run a server on 127.0.0.1 that calls `respond` for every request, each in its own thread."""
    listener = socket.create_server(("127.0.0.1", 0))
    site = Site(listener.getsockname()[1])
    visitors: list[threading.Thread] = []

    def visit(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            secure = tls.wrap_socket(connection, server_side=True) if tls else connection
            with secure:
                head = _head(secure) if read_request else "GET - HTTP/1.1"
                site.requests.append(head)
                respond(Visit(site, secure, head.split()[1]))
        site.left.release()

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.settimeout(30)
                visitors.append(threading.Thread(target=visit, args=(connection,), daemon=True))
                visitors[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield site
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (accepting, *visitors):
            thread.join(30)


def _head(connection: socket.socket) -> str:
    head = b""
    while b"\r\n\r\n" not in head:
        received = connection.recv(4096)
        if not received:
            raise ConnectionError("disconnected in the middle of a request")
        head += received
    return head.decode("ascii")
