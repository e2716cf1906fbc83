"""Middleware that gives every request an id, logs it without its query, and counts it in the metrics."""

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
#: Request ids that a client may choose: no characters that could forge a log line.
_GIVEN_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
#: Clients can invent methods; the metrics' labels must stay few.
_METHODS: Final = {"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"}


class RequestLog:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, metrics: WebMetrics, root: str = "") -> None:
        self._app = app
        self._root = root
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, then log and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        request_id = given if _GIVEN_ID.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        started, status = time.monotonic(), 500

        async def send_with_headers(message: Message) -> None:
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
                await self._app(scope, receive, send_with_headers)
            finally:
                self._record(scope, status, time.monotonic() - started)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
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
    """Return the route's path instead of the request's, so that the metrics' labels stay few."""
    path: str | None = getattr(scope.get("route"), "path", None)
    return "none" if path is None else f"{scope.get('root_path', '')}{path}"
