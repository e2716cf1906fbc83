"""The environment of the faults: Redis, a database, an S3, two workers, and the use case behind HTTP."""

import base64
import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from faults.crew import WorkerPool
from faults.servers import Disk, Postgres, Redis, postgres_server, redis_server, small_disk
from faults.worker_process import ANYWHERE
from moderation_client import Client
from moderation_client.webhooks import new_secret
from support.deployment import Deployment, deploy
from support.s3_server import S3Server, aws_variables, running_s3

from worker.network.address_guard import AddressGuard, AllowedHosts
from worker.notifications.allowed_callbacks import AllowedCallbacks, AllowedNames
from worker.observability.metrics import WebMetrics
from worker.usecases.submissions.accept_submissions import AcceptSubmissions
from worker.usecases.submissions.publish_submissions import PublishSubmissions

SQLITE, POSTGRESQL = "sqlite", "postgresql"
WORKERS = 2
NOTIFICATIONS = {"webhook_hosts": "any-public", "webhook_secrets": new_secret()}
STORES = {"object_stores": {"uploads": "s3://photos/uploads"}}
#: The suffixes that kombu appends to the name of a queue, by priority.
PRIORITIES = ("", "\x06\x163", "\x06\x166", "\x06\x169")


@dataclass(frozen=True)
class Scene:
    """Everything that a fault can affect."""

    kind: str
    redis: Redis
    #: None if the database is SQLite.
    postgres: Postgres | None
    disk: Disk
    s3: S3Server
    deployment: Deployment
    pool: WorkerPool
    client: Client
    accept: AcceptSubmissions

    def count_messages(self) -> int:
        """Return the number of messages that are queued or unacknowledged."""
        with self.redis.connect() as connection:
            return sum(connection.llen(name) for name in self._queues) + connection.hlen("unacked")

    def messages(self) -> tuple[list[list[str]], list[list[str]]]:
        """Return the ids in each queued message, and in each unacknowledged one."""
        with self.redis.connect() as connection:
            queued = [_ids(raw) for name in self._queues for raw in connection.lrange(name, 0, -1)]
            unacknowledged = [_ids(json.dumps(json.loads(raw)[0])) for raw in connection.hvals("unacked")]
        return queued, unacknowledged

    @property
    def _queues(self) -> list[str]:
        return [f"{self.deployment.settings.queue}{priority}" for priority in PRIORITIES]


def _ids(raw: bytes | str) -> list[str]:
    """Return the ids of the submissions in a message; empty if it is malformed."""
    try:
        fields = json.loads(base64.b64decode(json.loads(raw)["body"]))[1]
        return [str(one["id"]) for one in fields.get("submissions", [fields])]
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return []


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what this process logs while its database is deliberately unavailable."""
    logger = logging.getLogger("worker")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def set_scene(kind: str, folder: Path, *, workers: int = WORKERS, **settings: object) -> Iterator[Scene]:
    """Start everything; stop all of it after the block."""
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        folder.mkdir(parents=True)
        server = stack.enter_context(redis_server(folder / "redis"))
        disk = stack.enter_context(small_disk())
        s3 = stack.enter_context(running_s3("photos"))
        postgres = stack.enter_context(postgres_server(disk.folder)) if kind == POSTGRESQL else None
        url = postgres.place.url("moderation") if postgres else f"sqlite:///{disk.folder / 'moderation.db'}"
        deployment = deploy(folder, server.url, url, **(NOTIFICATIONS | STORES | settings))
        stack.callback(deployment.database.dispose)
        pool = stack.enter_context(
            WorkerPool(deployment.environment | aws_variables(s3.url), folder, workers)
        )
        client = stack.enter_context(deployment.client())
        guard = AddressGuard(AllowedHosts.parse("any-public"), **ANYWHERE)
        accept = AcceptSubmissions(
            deployment.database,
            deployment.settings.policies,
            PublishSubmissions(client),
            WebMetrics(),
            AllowedCallbacks(guard, AllowedNames(), AllowedNames()),
        )
        pool.wait_until_ready()
        yield Scene(kind, server, postgres, disk, s3, deployment, pool, client, accept)
