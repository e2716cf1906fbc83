"""A small HTTP server in a worker process for metrics and health checks."""

import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from worker.errors import SettingsError

#: A connection without a request is closed after this.
PATIENCE_SECONDS: Final = 10.0

#: Whether all is well, and the details to report.
Verdict = tuple[bool, Mapping[str, Any]]


def verdict_of(check: Callable[[], Verdict]) -> WSGIApplication:
    """Return an application that answers with a verdict as JSON: 200 if all is well, else 503."""

    def answer(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        well, details = check()
        status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
        return _answer(start_response, status, details)

    return answer


@contextmanager
def serving(host: str, port: int, routes: Mapping[str, WSGIApplication]) -> Iterator[None]:
    """Serve `routes` by path at `host` and `port` while the context lasts; port 0 disables the server.

    SettingsError if it cannot listen at the address.
    """
    if port == 0:
        yield
        return
    try:
        server = _server(host, port)
    except OSError as error:
        raise SettingsError(
            f"the metrics cannot be served at {host}:{port}: {error.strerror or error}",
            hint="let MODERATION_METRICS_PORT name a free port, one for each process; 0 serves none",
        ) from None
    server.set_app(_router(routes))
    thread = threading.Thread(target=server.serve_forever, name="probes", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingMixIn, WSGIServer):
    """Handles each request in a thread, so that one that waits for a database does not block others."""

    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = PATIENCE_SECONDS

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - signature of the base
        """Log nothing: a line a second about probes would hide all others."""


def _server(host: str, port: int) -> WSGIServer:
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    kind = type("_Server", (_Server,), {"address_family": family})
    server: WSGIServer = kind((str(address[0]), port), _Handler)
    return server


def _router(routes: Mapping[str, WSGIApplication]) -> WSGIApplication:
    def route(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer = routes.get(environ.get("PATH_INFO", ""))
        if answer is None:
            return _answer(start_response, HTTPStatus.NOT_FOUND, {"paths": sorted(routes)})
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            return _answer(start_response, HTTPStatus.METHOD_NOT_ALLOWED, {"methods": ["GET"]})
        return answer(environ, start_response)

    return route


def _answer(start_response: StartResponse, status: HTTPStatus, details: Mapping[str, Any]) -> Iterable[bytes]:
    body = json.dumps(details, ensure_ascii=False, default=str).encode() + b"\n"
    headers = [("Content-Type", "application/json; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response(f"{status.value} {status.phrase}", [*headers, ("Cache-Control", "no-store")])
    return [body]
