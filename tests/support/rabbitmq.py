"""A temporary RabbitMQ with its port mapper on loopback, if it is installed; stopped after the block."""

import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from celery import Celery
from kombu.exceptions import OperationalError

from worker.stage.processes import running, wait_until

#: Debian's command on PATH switches to the user `rabbitmq`, who cannot write our folder; this one does not.
DEBIAN = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


def rabbitmq_server() -> Path | None:
    """Return the program; None if RabbitMQ is not installed."""
    found = shutil.which("rabbitmq-server")
    if not found or not shutil.which("epmd"):
        return None
    return DEBIAN if DEBIAN.exists() else Path(found)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class RabbitMQ:
    """A server with its files in `folder`; it keeps its address while it is stopped."""

    program: Path
    folder: Path
    port: int = field(default_factory=_free_port)
    _running: ExitStack = field(default_factory=ExitStack)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        (self.folder / "enabled_plugins").write_text("[].\n")
        (self.folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{self.port}\n")
        mapper_port, log = str(_free_port()), self.folder / "rabbitmq.log"
        environment = {
            "HOME": str(self.folder),  # for Erlang's cookie
            "ERL_EPMD_PORT": mapper_port,
            "RABBITMQ_NODENAME": "tests@localhost",
            "RABBITMQ_DIST_PORT": str(_free_port()),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }
        mapper = running(["epmd", "-port", mapper_port], log=self.folder / "epmd.log")
        self._running.enter_context(mapper)
        process = self._running.enter_context(running([self.program], log=log, environment=environment))
        wait_until(
            lambda: _answers(self.url),
            process=process,
            log=log,
            what="the RabbitMQ server",
            timeout_seconds=60,
        )

    def stop(self) -> None:
        self._running.close()


@contextmanager
def running_rabbitmq(program: Path, folder: Path) -> Iterator[RabbitMQ]:
    """Run a server that tests may stop and restart."""
    server = RabbitMQ(program, folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _answers(url: str) -> bool:
    with Celery(broker=url, set_as_current=False) as app, app.connection_for_write() as connection:
        try:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=1)
        except (OperationalError, OSError):
            return False
        return True
