"""TLS in front of a real server: a forwarder that shows a certificate of the test's own authority."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import trustme


class Authority:
    """A certificate authority that nothing but a test trusts."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.file)

    @contextmanager
    def serving(self, port: int, *names: str) -> Iterator[int]:
        """Serve what 127.0.0.1:`port` serves, as `names`, over TLS; yield the port."""
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
    # One thread does both ways: two must not use one TLS connection at once.
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as server:
        raw.settimeout(10)
        with context.wrap_socket(raw, server_side=True) as client:
            client.settimeout(0.005)
            server.setblocking(False)
            while True:
                if not _forward(client, server) or not _forward(server, client):
                    return


def _forward(source: socket.socket, sink: socket.socket) -> bool:
    """Forward what there is; False if the connection has ended."""
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
