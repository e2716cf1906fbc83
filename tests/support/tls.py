"""A TLS proxy in front of a real server, with a certificate of a test authority."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import trustme


class Authority:
    """A certificate authority that only a test trusts."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.file)

    @contextmanager
    def serving(self, port: int, *names: str) -> Iterator[int]:
        """Proxy 127.0.0.1:`port` over TLS, as `names`; yield the port of the proxy."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._ca.issue_cert(*names).configure_cert(context)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=_accept, args=(listener, context, port), daemon=True).start()
            yield listener.getsockname()[1]
            listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with suppress(OSError):
        while True:
            raw, _ = listener.accept()
            threading.Thread(target=_serve, args=(raw, context, port), daemon=True).start()


def _serve(raw: socket.socket, context: ssl.SSLContext, port: int) -> None:
    # One thread forwards both ways: two threads must not share a TLS connection.
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as server:
        raw.settimeout(10)
        with context.wrap_socket(raw, server_side=True) as client:
            client.settimeout(0.005)
            server.setblocking(False)
            while True:
                if not _forward(client, server) or not _forward(server, client):
                    return


def _forward(source: socket.socket, sink: socket.socket) -> bool:
    """Forward the available bytes; return False if the connection is closed."""
    try:
        data = source.recv(65536)
    except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
        return True
    if data:
        sink.setblocking(True)
        sink.sendall(data)
        if isinstance(sink, ssl.SSLSocket):
            sink.settimeout(0.005)
        else:
            sink.setblocking(False)
    return bool(data)
