"""Sets the stage for `moderate demo`: a Redis, a database, copies of policies and pictures, a real worker."""

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from worker import child_python, resources
from worker.demo.large_picture import twelve_megapixels
from worker.demo.processes import running, wait_until
from worker.demo.redis_server import running_redis
from worker.domain.accounts.reviewer import Reviewer, Role
from worker.errors import UsageError
from worker.settings import Settings
from worker.store.accounts import passwords, reviewers
from worker.store.engine.database import Database
from worker.store.upgrade import schema
from worker.wiring.components import open_database

POLICY = "stickers"
#: A file that says that everything in the folder is the demo's, and may go.
MARKER = ".moderate-demo"


@dataclass(frozen=True, slots=True)
class DemoEnvironment:
    """Everything the demo plays with."""

    settings: Settings
    database: Database
    #: Whether the Redis is ours, and goes when we go.
    own_redis: bool

    @property
    def policy_file(self) -> Path:
        """The demo's own copy of the policy, to be edited freely."""
        return self.settings.policies / f"{POLICY}.yaml"

    @property
    def log(self) -> Path:
        """What the worker says."""
        return self.settings.media_root.parent / "worker.log"

    @property
    def web_log(self) -> Path:
        """What the web process says."""
        return self.settings.media_root.parent / "web.log"

    def uploads(self) -> list[Path]:
        """Return the sample pictures' files, by name."""
        return sorted(path for path in self.settings.media_root.iterdir() if path.is_file())


@contextmanager
def set_stage(folder: Path) -> Iterator[DemoEnvironment]:
    """Prepare `folder` afresh, with a Redis beside it unless one is configured."""
    configured = os.environ.get("MODERATION_BROKER_URL")
    try:
        _clear(folder)
        shutil.copytree(
            resources.demo_folder("pictures"),
            folder / "media",
            ignore=shutil.ignore_patterns("*.csv", "*.md"),
        )
        shutil.copytree(resources.folder("policies"), folder / "policies")
        twelve_megapixels(folder / "media")
    except OSError as error:
        raise UsageError(f"the demo cannot work in {folder}: {error}", hint="name another --folder") from None
    with ExitStack() as stack:
        broker_url = configured or stack.enter_context(running_redis(folder))
        settings = Settings.read(
            broker_url=broker_url,
            # On a Redis that others use, our jobs must reach our worker alone.
            queue=f"moderation-demo-{secrets.token_hex(4)}",
            database_url=f"sqlite:///{(folder / 'moderation.db').as_posix()}",
            policies=folder / "policies",
            policy=POLICY,
            media_root=folder / "media",
            model="demo",
        )
        database = open_database(settings)
        stack.callback(database.dispose)
        schema.upgrade(database)
        yield DemoEnvironment(settings, database, own_redis=not configured)


def _clear(folder: Path) -> None:
    """Make `folder` empty; UsageError where it holds anything that is not an earlier demo's."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).exists():
        raise UsageError(
            f"{folder} is not empty, and not a demo's", hint="name a new --folder, or an empty one"
        )
    if folder.is_dir():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARKER).touch()


@contextmanager
def running_worker(settings: Settings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `moderate worker` as a process of its own; yields when it waits for jobs."""
    command = child_python.command("worker", "worker")
    with running(
        command, log=log, environment=environment_of(settings) | child_python.import_path()
    ) as process:
        wait_until(
            lambda: b"ready." in log.read_bytes(),
            process=process,
            log=log,
            what="the worker",
            timeout_seconds=120,
        )
        yield process


@contextmanager
def running_web(settings: Settings, log: Path) -> Iterator[str]:
    """Run `moderate web` as a process of its own on a free port; yields its address."""
    command = child_python.command("worker", "web", "--port", "0")
    with running(
        command, log=log, environment=environment_of(settings) | child_python.import_path()
    ) as process:
        wait_until(
            lambda: b"review desk: " in log.read_bytes(),
            process=process,
            log=log,
            what="the web process",
            timeout_seconds=60,
        )
        said = log.read_text(encoding="utf-8", errors="replace")
        yield next(line for line in said.splitlines() if line.startswith("review desk: ")).split()[-1]


def add_reviewer(database: Database, name: str) -> str:
    """Make an account of a lead and return its password, which is kept nowhere."""
    password = "-".join(secrets.token_hex(2) for _ in range(4))
    with database.transaction() as session:
        reviewers.add(session, Reviewer(name, Role.LEAD), passwords.hash_of(password))
    return password


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the variables that give another process the same settings."""
    return {
        f"MODERATION_{name.upper()}": json.dumps(value) if isinstance(value, dict) else str(value)
        for name, value in settings.model_dump().items()
    }
