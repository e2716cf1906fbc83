"""Around every request: its id, a line in the log that shows no query, and a count for the metrics."""

import logging
import re
import secrets
import time
from typing import Final

from moderation_client.traceparent import TRACEPARENT
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.observability.logs import about
from worker.observability.metrics import WebMetrics

log = logging.getLogger(__name__)

HEADER: Final = "X-Request-ID"
#: What a client may call its request: nothing that could forge a line of the log.
_GIVEN_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
#: A client can invent methods; the metrics must not grow with them.
_METHODS: Final = {"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"}


class RequestLog:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp, metrics: WebMetrics, root: str = "") -> None:
        self._app = app
        self._root = root
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and tell what came of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        request_id = given if _GIVEN_ID.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        started, status = time.monotonic(), 500

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[HEADER] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        with about(None, Headers(scope=scope).get(TRACEPARENT)):
            try:
                await self._app(scope, receive, send_marked)
            finally:
                self._tell(scope, status, time.monotonic() - started)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = _route(scope).removeprefix(self._root)
        self._metrics.answered(method, route, status)
        log.info(
            "%s %.200r %d in %.3f s, key %s, request %s",
            method,
            scope["path"],
            status,
            seconds,
            scope["state"].get("key_id", "none"),
            scope["state"]["request_id"],
        )


def _route(scope: Scope) -> str:
    """Return the path of the route, not of the request: there are few of them."""
    path: str | None = getattr(scope.get("route"), "path", None)
    return "none" if path is None else f"{scope.get('root_path', '')}{path}"
