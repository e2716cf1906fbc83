"""The HTTP API of a deployment, served from this process, and a client for it."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import requests
import uvicorn

from worker.domain.accounts.api_key import Scope, new_api_key
from worker.settings import Settings
from worker.store.accounts import api_keys
from worker.store.engine.database import Database
from worker.web.api.service import WebService, open_web_service
from worker.web.app import create_app


class Api:
    """Sends requests with a key."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url, self.token = url, token

    def __call__(self, method: str, path: str, **options: object) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= options.pop("headers", {})
        answer = requests.request(method, self.url + path, headers=headers, timeout=60, **options)
        assert "Traceback" not in answer.text
        if answer.status_code >= 400:
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.json()["status"] == answer.status_code
        return answer

    def get(self, path: str, **options: object) -> requests.Response:
        return self("GET", path, **options)

    def post(self, path: str, **options: object) -> requests.Response:
        return self("POST", path, **options)


def make_key(database: Database, *scopes: Scope) -> str:
    """Create an API key, and return its token."""
    new = new_api_key("test", scopes or list(Scope))
    with database.transaction() as session:
        api_keys.add(session, new)
    return new.token


@contextmanager
def serving_api(settings: Settings) -> Iterator[tuple[str, WebService]]:
    """Serve the API on a free port; yield its URL and its service."""
    with open_web_service(settings) as service, socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(create_app(service), log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", service
        finally:
            server.should_exit = True
            thread.join(30)
