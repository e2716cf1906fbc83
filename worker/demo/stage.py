"""Sets up the environment of `moderate demo`: Redis, database, copies of policies and pictures, worker."""

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
#: Marks a folder of the demo, whose content may be deleted.
MARKER = ".moderate-demo"


@dataclass(frozen=True, slots=True)
class DemoEnvironment:
    """Everything that the demo uses."""

    settings: Settings
    database: Database
    #: Whether the demo runs a temporary Redis.
    own_redis: bool

    @property
    def policy_file(self) -> Path:
        """The demo's copy of the policy, free to be edited."""
        return self.settings.policies / f"{POLICY}.yaml"

    @property
    def log(self) -> Path:
        """The log of the worker."""
        return self.settings.media_root.parent / "worker.log"

    @property
    def web_log(self) -> Path:
        """The log of the web process."""
        return self.settings.media_root.parent / "web.log"

    def uploads(self) -> list[Path]:
        """Return the files of the sample pictures, sorted by name."""
        return sorted(path for path in self.settings.media_root.iterdir() if path.is_file())


@contextmanager
def set_stage(folder: Path) -> Iterator[DemoEnvironment]:
    """Set up `folder` from scratch, and run a Redis unless one is configured."""
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
            # On a shared Redis, only this worker may take the demo's jobs.
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
    """Empty `folder`; UsageError if it has files that are not of an earlier demo."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).exists():
        raise UsageError(
            f"{folder} is not empty, and not a demo folder",
            hint="name a new --folder, or an empty one",
        )
    if folder.is_dir():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARKER).touch()


@contextmanager
def running_worker(settings: Settings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `moderate worker` as a child process; yield when it is ready for jobs."""
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
    """Run `moderate web` as a child process on a free port; yield its address."""
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
        text = log.read_text(encoding="utf-8", errors="replace")
        yield next(line for line in text.splitlines() if line.startswith("review desk: ")).split()[-1]


def add_reviewer(database: Database, name: str) -> str:
    """Add an account with the role of lead; return its password, which is not stored anywhere."""
    password = "-".join(secrets.token_hex(2) for _ in range(4))
    with database.transaction() as session:
        reviewers.add(session, Reviewer(name, Role.LEAD), passwords.hash_of(password))
    return password


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the environment variables that give another process the same settings."""
    return {
        f"MODERATION_{name.upper()}": json.dumps(value) if isinstance(value, dict) else str(value)
        for name, value in settings.model_dump().items()
    }
