"""Sets up a temporary deployment: the operator's settings with a separate database, folder and queue."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from moderation_client import Client

from worker.settings import Settings
from worker.stage.private_queue import private_queue
from worker.stage.redis_server import running_redis
from worker.store.engine.database import Database
from worker.store.upgrade import schema
from worker.wiring.components import open_database

#: Disables everything that leaves the temporary deployment: no callback is sent for its decisions.
_CUT_OFF: Final = {
    "database_password": "",
    "object_stores": {},
    "url_hosts": "none",
    "webhook_url": "none",
    "webhook_hosts": "none",
    "callback_tasks": "none",
    "callback_broker_url": "none",
    "metrics_host": "127.0.0.1",
    "metrics_port": 0,
    # The logs are searched for the lines that say that a process is ready.
    "log_format": "text",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """A temporary deployment; all its files are in `folder`."""

    settings: Settings
    database: Database
    folder: Path
    #: Name of the broker, for people.
    broker: str
    #: Whether a temporary Redis is the broker.
    own_redis: bool

    @property
    def media(self) -> Path:
        """The media root."""
        return self.settings.media_root

    @property
    def log(self) -> Path:
        """The log of the worker."""
        return self.folder / "worker.log"

    @property
    def web_log(self) -> Path:
        """The log of the web process."""
        return self.folder / "web.log"


@contextmanager
def set_stage(folder: Path, purpose: str, broker_url: str | None, **settings: Any) -> Iterator[Stage]:
    """Set up a deployment in an existing folder; remove its queue, and stop its Redis, after the block.

    Without a broker, runs a temporary Redis. `settings` override those of the environment.
    BrokerUnavailableError if the broker does not answer; UnavailableError if no Redis can be started.
    """
    with ExitStack() as stack:
        if broker_url:
            url, broker = broker_url, _answering(broker_url)
        else:
            url, broker = stack.enter_context(running_redis(folder)), "a temporary Redis"
        separate = {
            "broker_url": url,
            # On a shared broker, only the worker of this deployment may take its jobs.
            "queue": stack.enter_context(private_queue(url, purpose)),
            "database_url": f"sqlite:///{(folder / 'moderation.db').as_posix()}",
            "media_root": folder / "media",
        }
        read = Settings.read(**_CUT_OFF | separate | settings)
        read.media_root.mkdir(exist_ok=True)
        database = open_database(read)
        stack.callback(database.dispose)
        schema.upgrade(database)
        yield Stage(read, database, folder, broker, own_redis=not broker_url)


def _answering(broker_url: str) -> str:
    """Return the address of a broker that answers, without its password."""
    with Client(broker_url) as client:
        client.ping()
        return client.address
