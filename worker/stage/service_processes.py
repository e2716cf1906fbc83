"""Runs `moderate worker` and `moderate web` as child processes that are ready when the block starts."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from worker import child_python
from worker.settings import Settings
from worker.stage.processes import running, wait_until


@contextmanager
def running_worker(settings: Settings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `moderate worker`; yield its process when it is ready for jobs."""
    with _running_service(settings, log, "worker", ready="ready.", what="the worker") as process:
        yield process


@contextmanager
def running_web(settings: Settings, log: Path) -> Iterator[str]:
    """Run `moderate web` on a free port; yield the address of its desk."""
    ready = "review desk: "
    with _running_service(settings, log, "web", "--port", "0", ready=ready, what="the web process"):
        text = log.read_text(encoding="utf-8", errors="replace")
        yield next(line for line in text.splitlines() if line.startswith(ready)).split()[-1]


@contextmanager
def _running_service(
    settings: Settings, log: Path, *arguments: str, ready: str, what: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command of `moderate` with these settings; yield its process when `ready` is in the log."""
    command = child_python.command("worker", *arguments)
    environment = environment_of(settings) | child_python.import_path()
    with running(command, log=log, environment=environment) as process:
        wait_until(
            lambda: ready.encode() in log.read_bytes(),
            process=process,
            log=log,
            what=what,
            timeout_seconds=120,
        )
        yield process


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the environment variables that give another process the same settings."""
    return {
        f"MODERATION_{name.upper()}": json.dumps(value) if isinstance(value, dict) else str(value)
        for name, value in settings.model_dump().items()
    }
