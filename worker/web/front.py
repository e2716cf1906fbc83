"""Outermost middleware: restores a path prefix that the proxy cut; answers HEAD as GET without a body."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Front:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, root: str) -> None:
        """`root` is the path prefix that browsers see, empty or for example `/moderation`."""
        self._app = app
        self._root = root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request as if the proxy had kept the path prefix."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_head = scope["method"] == "HEAD"
        path = scope["path"]
        # Local probes come without the prefix, and so do requests from a proxy that strips it.
        if self._root and not path.startswith(f"{self._root}/"):
            path = self._root + path
        changed = {"path": path, "root_path": self._root, "method": "GET" if is_head else scope["method"]}
        await self._app({**scope, **changed}, receive, _without_body(send) if is_head else send)


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return send_head
