"""What every request passes first: the path that a proxy serves us under, and HEAD as GET without a body."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Front:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp, root: str) -> None:
        """`root` is the path that browsers see us under, empty or such as `/moderation`."""
        self._app = app
        self._root = root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on as if the proxy had kept the path, whether or not it did."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_head = scope["method"] == "HEAD"
        path = scope["path"]
        # A probe of the machine we run on comes without the path, and so does what the proxy cut it from.
        if self._root and not path.startswith(f"{self._root}/"):
            path = self._root + path
        changed = {"path": path, "root_path": self._root, "method": "GET" if is_head else scope["method"]}
        await self._app({**scope, **changed}, receive, _without_body(send) if is_head else send)


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return send_head
