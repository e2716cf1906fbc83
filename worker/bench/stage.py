"""Sets the stage of `moderate bench`: in a temporary folder, with the configured broker if it answers."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moderation_client import Client

from worker.errors import BrokerUnavailableError, UnavailableError
from worker.settings import Settings
from worker.stage.redis_server import free_port, redis_executable
from worker.stage.stage import Stage, set_stage


@contextmanager
def bench_stage() -> Iterator[Stage]:
    """Set up a deployment with the settings of the environment; remove it after the block.

    BrokerUnavailableError if the configured broker does not answer and no temporary Redis can be started.
    """
    with (
        tempfile.TemporaryDirectory(prefix="moderate-bench-") as folder,
        set_stage(Path(folder), "bench", _broker_url(), metrics_port=free_port()) as stage,
    ):
        yield stage


def _broker_url() -> str | None:
    """Return the URL of the configured broker; None if a temporary Redis has to replace it."""
    configured = Settings.read().broker_url
    with Client(configured) as client:
        try:
            client.ping()
        except BrokerUnavailableError as unavailable:
            _require_redis(unavailable)
            return None
    return configured


def _require_redis(unavailable: BrokerUnavailableError) -> None:
    """Raise `unavailable` with another way out if no Redis is installed."""
    try:
        redis_executable()
    except UnavailableError:
        raise BrokerUnavailableError(
            unavailable.message,
            hint="start it, set MODERATION_BROKER_URL, or install 'moderation-worker[demo]' to measure "
            "with a temporary Redis",
        ) from None
