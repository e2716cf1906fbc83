"""A small server beside the work of a process, for what operators' machines ask of it."""

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

#: Whoever connects and asks nothing is not waited for any longer.
PATIENCE_SECONDS: Final = 10.0

#: Whether all is well, and what there is to say about it.
Verdict = tuple[bool, Mapping[str, Any]]


def verdict_of(check: Callable[[], Verdict]) -> WSGIApplication:
    """Return what answers with a verdict as JSON: 200 where all is well, 503 where it is not."""

    def answer(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        well, said = check()
        status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
        return _answer(start_response, status, said)

    return answer


@contextmanager
def serving(host: str, port: int, routes: Mapping[str, WSGIApplication]) -> Iterator[None]:
    """Answer at `host` and `port`, by the path, while the context lasts; at port 0, do not.

    SettingsError where the address cannot be listened on.
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
    """A thread for each request, so that one that waits for a database does not hold up the others."""

    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = PATIENCE_SECONDS

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's form
        """Say nothing: a line a second about probes would hide all others."""


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


def _answer(start_response: StartResponse, status: HTTPStatus, said: Mapping[str, Any]) -> Iterable[bytes]:
    body = json.dumps(said, ensure_ascii=False, default=str).encode() + b"\n"
    headers = [("Content-Type", "application/json; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response(f"{status.value} {status.phrase}", [*headers, ("Cache-Control", "no-store")])
    return [body]
