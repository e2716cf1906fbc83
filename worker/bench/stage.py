"""Sets the stage: the operator's settings, with a database, media and a queue that go with the block."""

import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from moderation_client import Client

from worker.bench.private_queue import private_queue
from worker.demo.redis_server import running_redis
from worker.errors import BrokerUnavailableError, UnavailableError
from worker.settings import Settings
from worker.store.engine.database import Database
from worker.store.upgrade import schema
from worker.wiring.components import open_database

#: Whatever leads out of the stage: nobody is told of decisions that are none.
_CUT_OFF: Final = {
    "database_password": "",
    "object_stores": {},
    "url_hosts": "none",
    "webhook_url": "none",
    "webhook_hosts": "none",
    "callback_tasks": "none",
    "callback_broker_url": "none",
    "metrics_host": "127.0.0.1",
    # What a worker says is looked through for its being ready.
    "log_format": "text",
}


@dataclass(frozen=True, slots=True)
class BenchEnvironment:
    """What a run measures with; everything that changes is in `folder`."""

    settings: Settings
    database: Database
    folder: Path
    #: Where the jobs wait, for people.
    broker: str
    #: Whether the Redis is ours, since the configured broker does not answer.
    own_redis: bool

    @property
    def media(self) -> Path:
        """Where the worker finds pictures."""
        return self.settings.media_root

    @property
    def log(self) -> Path:
        """What the worker says."""
        return self.folder / "worker.log"


@contextmanager
def set_stage() -> Iterator[BenchEnvironment]:
    """Prepare it by the environment's settings; all of it is gone after the block.

    UnavailableError where neither the configured broker answers nor a Redis of our own can be started.
    """
    configured = Settings.read()
    with tempfile.TemporaryDirectory(prefix="moderate-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        broker_url, broker = _broker(configured, folder, stack)
        settings = Settings.read(
            broker_url=broker_url,
            queue=stack.enter_context(private_queue(broker_url)),
            database_url=f"sqlite:///{(folder / 'moderation.db').as_posix()}",
            media_root=folder / "media",
            metrics_port=_free_port(),
            **_CUT_OFF,
        )
        settings.media_root.mkdir()
        database = open_database(settings)
        stack.callback(database.dispose)
        schema.upgrade(database)
        yield BenchEnvironment(
            settings, database, folder, broker, own_redis=broker_url != configured.broker_url
        )


def _broker(configured: Settings, folder: Path, stack: ExitStack) -> tuple[str, str]:
    """Return the broker's URL and what it is for people; where it is away, those of a Redis of our own."""
    with Client(configured.broker_url) as client:
        try:
            client.ping()
        except BrokerUnavailableError as away:
            return _own_redis(away, folder, stack), "a Redis of our own"
        return configured.broker_url, client.address


def _own_redis(away: BrokerUnavailableError, folder: Path, stack: ExitStack) -> str:
    try:
        return stack.enter_context(running_redis(folder))
    except UnavailableError:
        raise BrokerUnavailableError(
            away.message,
            hint="start it, set MODERATION_BROKER_URL, or install 'moderation-worker[demo]' to measure "
            "with a Redis of our own",
        ) from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
