"""The scene of the faults: one Redis, one database, two workers, and the intake that HTTP uses."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
from faults.crew import Crew
from faults.servers import Disk, Postgres, Redis, postgres_server, redis_server, small_disk
from support.deployment import Deployment, deploy

from worker.client import Client
from worker.metrics import WebMetrics
from worker.usecases.accept_submissions import AcceptSubmissions
from worker.usecases.publish_submissions import PublishSubmissions

SQLITE, POSTGRESQL = "sqlite", "postgresql"
WORKERS = 2
#: What kombu puts between a queue's name and a priority other than 0.
PRIORITIES = ("", "\x06\x163", "\x06\x166", "\x06\x169")


@dataclass(frozen=True)
class Scene:
    """Everything a fault can reach."""

    kind: str
    redis: Redis
    #: None where the database is SQLite.
    postgres: Postgres | None
    disk: Disk
    deployment: Deployment
    crew: Crew
    client: Client
    accept: AcceptSubmissions

    def in_redis(self) -> tuple[int, int]:
        """Return how many messages are queued, and how many are given out and unacknowledged."""
        queue = self.deployment.settings.queue
        with self.redis.connect() as connection:
            queued = sum(connection.llen(f"{queue}{priority}") for priority in PRIORITIES)
            return queued, connection.hlen("unacked")

    @property
    def is_reachable(self) -> bool:
        """Whether Redis answers."""
        try:
            self.in_redis()
        except redis.RedisError:
            return False
        return True


@contextmanager
def set_scene(kind: str, folder: Path, *, workers: int = WORKERS, **settings: object) -> Iterator[Scene]:
    """Start everything; at the end nothing of it runs."""
    # What the intake says while its database is away on purpose.
    logging.getLogger("worker").setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        folder.mkdir(parents=True)
        server = stack.enter_context(redis_server(folder / "redis"))
        disk = stack.enter_context(small_disk())
        postgres = stack.enter_context(postgres_server(disk.folder)) if kind == POSTGRESQL else None
        url = postgres.place.url("postgres") if postgres else f"sqlite:///{disk.folder / 'moderation.db'}"
        deployment = deploy(folder, server.url, url, **settings)
        stack.callback(deployment.database.dispose)
        crew = stack.enter_context(Crew(deployment.environment, folder, workers))
        client = stack.enter_context(deployment.client())
        accept = AcceptSubmissions(
            deployment.database, deployment.settings.policies, PublishSubmissions(client), WebMetrics()
        )
        crew.wait_until_ready()
        yield Scene(kind, server, postgres, disk, deployment, crew, client, accept)
