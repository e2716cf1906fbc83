"""A deployment for a single test: folders, tables, a queue, and workers on request."""

import base64
import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import TypeVar

import redis
from moderation_client import Client
from support.forked_worker import ForkedProcess, forked_worker
from support.tables import make_tables

from worker import resources
from worker.settings import Settings
from worker.stage.service_processes import environment_of, running_worker
from worker.store.decisions import decisions
from worker.store.engine.database import Database
from worker.store.submissions import submissions

Found = TypeVar("Found")

PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class Deployment:
    """Settings, database and folders; no process runs yet."""

    settings: Settings
    database: Database
    folder: Path

    @property
    def policy_file(self) -> Path:
        return self.settings.policies / f"{self.settings.policy}.yaml"

    @property
    def environment(self) -> dict[str, str]:
        return environment_of(self.settings)

    def save_picture(self, name: str, data: bytes) -> str:
        (self.settings.media_root / name).write_bytes(data)
        return name

    def client(self) -> Client:
        return Client(self.settings.broker_url, queue=self.settings.queue)

    @contextmanager
    def worker(
        self, name: str = "worker", *, from_scratch: bool = False
    ) -> Iterator[Popen[bytes] | ForkedProcess]:
        """Run a worker while the block runs, with its log in `{name}.log`; yield when it is ready for jobs.

        It is forked from a process that has imported torch, which saves 6 s of CPU. Tests of the process
        itself (its start, its command line, its memory) start it from scratch, as users do.
        """
        log = self.folder / f"{name}.log"
        start = running_worker(self.settings, log) if from_scratch else forked_worker(self.environment, log)
        with start as process:
            yield process

    def decided(self, ids: Sequence[str]) -> list[decisions.RecordedDecision]:
        """Wait until each of the submissions has a decision, and return all decisions on them."""

        def enough() -> list[decisions.RecordedDecision]:
            with self.database.reading() as session:
                found = decisions.of_submissions(session, ids)
            return found if len({decision.submission_id for decision in found}) == len(set(ids)) else []

        return wait_for(enough, what=f"decisions on {len(ids)} submissions, see {self.folder}")

    def unfinished(self) -> set[str]:
        """Return the ids of submissions whose messages are queued or unacknowledged."""
        with redis.Redis.from_url(self.settings.broker_url) as connection:
            queued = connection.lrange(self.settings.queue, 0, -1)
            unacknowledged = [json.loads(entry)[0] for entry in connection.hvals("unacked")]
        messages = [json.loads(message) for message in queued] + unacknowledged
        ours = [m for m in messages if m["properties"]["delivery_info"]["routing_key"] == self.settings.queue]
        arguments = [json.loads(base64.b64decode(message["body"]))[1] for message in ours]
        return {one.get("id", "") for found in arguments for one in found.get("submissions", [found])}

    def refused(self, count: int) -> dict[str, str]:
        """Wait until `count` submissions are refused, and return their errors by id."""

        def enough() -> dict[str, str]:
            with self.database.reading() as session:
                found = dict(submissions.refused(session, limit=100))
            return found if len(found) >= count else {}

        return wait_for(enough, what=f"{count} refusals, see {self.folder}")


def deploy(folder: Path, broker_url: str, database_url: str = "", **settings: object) -> Deployment:
    """Set up a deployment in `folder`, with the stickers policy, tables, and no pictures."""
    policies, media = folder / "policies", folder / "media"
    policies.mkdir()
    media.mkdir()
    shutil.copy(resources.folder("policies") / "stickers.yaml", policies)
    shutil.copytree(resources.folder("policies") / "cases", policies / "cases")
    values = {
        "broker_url": broker_url,
        "queue": f"test-{secrets.token_hex(4)}",
        "database_url": database_url or f"sqlite:///{folder / 'moderation.db'}",
        "policies": policies,
        "media_root": media,
        "policy_reload_seconds": 0.2,
        # Tests may submit these URLs; their workers cannot reach them.
        "url_hosts": "*.example.com",
        # No test should wait a minute for a picture that never comes.
        "missing_source_seconds": 0,
    }
    read = Settings.read(**(values | settings))
    database = Database.connect(read.database_url)
    make_tables(database)
    return Deployment(read, database, folder)


def wait_for(look: Callable[[], Found], *, what: str, seconds: float = PATIENCE_SECONDS) -> Found:
    """Poll `look` until it returns something true, and return that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"timed out after {seconds:g} s waiting for {what}")
