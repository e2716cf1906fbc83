"""Sets up a temporary deployment: the operator's settings with a temporary database, folder and queue."""

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

#: Disables everything that leaves the temporary deployment: no callback is sent for test decisions.
_CUT_OFF: Final = {
    "database_password": "",
    "object_stores": {},
    "url_hosts": "none",
    "webhook_url": "none",
    "webhook_hosts": "none",
    "callback_tasks": "none",
    "callback_broker_url": "none",
    "metrics_host": "127.0.0.1",
    # The log is searched for the line that says that the worker is ready.
    "log_format": "text",
}


@dataclass(frozen=True, slots=True)
class BenchEnvironment:
    """The temporary deployment of a run; all its files are in `folder`."""

    settings: Settings
    database: Database
    folder: Path
    #: Name of the broker, for people.
    broker: str
    #: Whether a temporary Redis replaces the configured broker, which does not answer.
    own_redis: bool

    @property
    def media(self) -> Path:
        """The media root."""
        return self.settings.media_root

    @property
    def log(self) -> Path:
        """The log of the worker."""
        return self.folder / "worker.log"


@contextmanager
def set_stage() -> Iterator[BenchEnvironment]:
    """Set up a deployment with the settings of the environment; remove it after the block.

    UnavailableError if the configured broker does not answer and no temporary Redis can be started.
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
    """Return URL and name of the broker; if it is unavailable, those of a temporary Redis."""
    with Client(configured.broker_url) as client:
        try:
            client.ping()
        except BrokerUnavailableError as unavailable:
            return _temporary_redis(unavailable, folder, stack), "a temporary Redis"
        return configured.broker_url, client.address


def _temporary_redis(unavailable: BrokerUnavailableError, folder: Path, stack: ExitStack) -> str:
    try:
        return stack.enter_context(running_redis(folder))
    except UnavailableError:
        raise BrokerUnavailableError(
            unavailable.message,
            hint="start it, set MODERATION_BROKER_URL, or install 'moderation-worker[demo]' to measure "
            "with a temporary Redis",
        ) from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
