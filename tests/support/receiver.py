"""A webhook receiver on loopback: it records requests, and gives the answers that a test chooses."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from moderation_client.producer import Producer
from moderation_client.webhooks import new_secret, read_secrets

from worker.network.address_guard import AddressGuard, AllowedHosts
from worker.network.http import GuardedHttp
from worker.network.special_addresses import what_is_special
from worker.notifications.allowed_callbacks import AllowedCallbacks, AllowedNames
from worker.notifications.celery_callback import CeleryTask
from worker.notifications.webhook import Webhook
from worker.store.engine.database import Database
from worker.usecases.operations.deliver_events import DeliverEvents

#: Answers other than a status: hang, close after the request, endless body, slow endless body.
HANG: Final = -1
DROP: Final = -2
FLOOD: Final = -3
DRIP: Final = -4
HOST: Final = "platform.example"
SECRET: Final = new_secret()


@dataclass
class Receiver:
    """The recorded requests, in order."""

    port: int
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    #: Headers of every response.
    answers_with: dict[str, str] = field(default_factory=dict)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.bodies]

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers in self.headers]

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/moderated?token=5ec7e7"


@contextmanager
def receiving(*answers: int) -> Iterator[Receiver]:  # noqa: C901 - a handler with its ways to answer
    """Receive on a free port; each request gets the next of `answers`, and the last one is repeated."""
    left, closing, lock = list(answers), threading.Event(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                answer = left.pop(0) if len(left) > 1 else left[0]
                receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
                receiver.bodies.append(body)
                receiver.paths.append(self.path)
            if answer == HANG:
                closing.wait(30)
            elif answer in {FLOOD, DRIP}:
                self.answer_without_end(bytes(1 << 16) if answer == FLOOD else b".")
            elif answer != DROP:
                self.answer(answer)

        def answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            for name, value in receiver.answers_with.items():
                self.send_header(name, value)
            self.end_headers()

        def answer_without_end(self, chunk: bytes) -> None:
            self.send_response(200)
            self.end_headers()
            # At most a thousand chunks, whatever the client does.
            for _ in range(1000):
                self.wfile.write(chunk)
                if closing.wait(0 if len(chunk) > 1 else 0.05):
                    return

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        # Clients may disconnect early.
        def handle_error(self, *_: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    receiver = Receiver(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        closing.set()
        server.shutdown()
        server.server_close()
        thread.join(30)


def guard_for(*ports: int, hosts: str = "any-public") -> AddressGuard:
    """Return a real guard, except that 127.0.0.1 is public and every name resolves to it."""
    return AddressGuard(
        AllowedHosts.parse(hosts),
        lambda _host, _port: ["127.0.0.1"],
        what_is_special=lambda address: "" if str(address) == "127.0.0.1" else what_is_special(address),
        ports=frozenset(ports),
    )


def deliverer(  # noqa: PLR0913 - an argument for each setting, all by name
    database: Database,
    *receivers: Any,
    secrets: str = SECRET,
    seconds: float = 20.0,
    hosts: str = "any-public",
    tasks: str = "posts.*",
    producer: Producer | None = None,
) -> DeliverEvents:
    """Return a use case that delivers to these receivers; without `producer`, the broker is unavailable."""
    guard = guard_for(*(receiver.port for receiver in receivers), hosts=hosts)
    return DeliverEvents(
        database,
        AllowedCallbacks(
            guard,
            AllowedNames.parse(tasks, "MODERATION_CALLBACK_TASKS"),
            AllowedNames(("posts", "posts.*")),
            own_queue="moderation",
        ),
        Webhook(GuardedHttp(guard), read_secrets(secrets), seconds),
        CeleryTask(producer or Producer("redis://127.0.0.1:1/0")),
        timedelta(hours=24),
        chance=lambda: 1.0,
    )
