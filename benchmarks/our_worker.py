"""A `moderate worker` of our own with a database of its own, as the benchmarks start it."""

import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import Bench
from moderation_client import Client, LocalFile, Submission
from sqlalchemy import select
from turns import Way

from worker.demo.stage import running_worker
from worker.settings import Settings
from worker.store.engine.database import Database
from worker.store.engine.tables import DecisionRow, LabelScoreRow
from worker.store.upgrade import schema

PATIENCE_SECONDS = 600
#: Asking how far somebody is must cost nothing that the worker could use.
POLL_SECONDS = 0.02
MANY = 64
#: Settings that say how much is done at once.
TOLD = ("batch_size", "concurrency", "passes", "torch_threads", "decoder_processes", "precision")


@dataclass
class OurWorker:
    """A running worker, and the client that feeds it."""

    settings: Settings
    client: Client
    process_id: int
    database: Database
    _file: sqlite3.Connection
    _decided: int = 0
    _prefix: str = field(default_factory=lambda: secrets.token_hex(4))
    _rounds: int = 0

    @property
    def way(self) -> Way:
        """A message for each picture; enough of them that the last pass, which ends alone, hardly tells."""
        return Way(self.judge, 16 * self.settings.batch_size)

    @property
    def way_of_many(self) -> Way:
        """A message for 64 pictures."""
        return Way(self.judge_many, 4 * MANY)

    @property
    def decided(self) -> int:
        """How many decisions there are: one look at the end of an index."""
        return self._file.execute("SELECT max(id) FROM decisions").fetchone()[0] or 0

    @property
    def threads(self) -> dict[str, Any]:
        """How much it does at once, as configured; 0 leaves it to the worker."""
        return {name: getattr(self.settings, name) for name in TOLD}

    def judge(self, files: Sequence[Path]) -> None:
        """Enqueue each and wait until all are decided."""
        for submission in self.submissions(files):
            self.send(submission)
        self.wait_for(len(files))

    def judge_many(self, files: Sequence[Path]) -> None:
        """Enqueue as many in a message as one may have, and wait until all are decided."""
        found = self.submissions(files)
        for start in range(0, len(found), MANY):
            self.client.submit_many(found[start : start + MANY])
        self.wait_for(len(files))

    def submissions(self, files: Sequence[Path]) -> list[Submission]:
        """Return a new submission for each, even where it was judged before."""
        self._rounds += 1
        return [
            Submission(f"{self._prefix}-{self._rounds}-{n}", LocalFile(file.name))
            for n, file in enumerate(files)
        ]

    def send(self, submission: Submission) -> None:
        """Enqueue one."""
        self.client.submit(submission.source, id=submission.id)

    def wait_for(self, more: int) -> None:
        """Wait for so many more decisions; RuntimeError unless all of them judged a picture."""
        before, self._decided = self._decided, self._decided + more
        wait(lambda: self.decided >= self._decided, "our decisions")
        judged = "SELECT count(sha256) FROM decisions WHERE id > ?"
        if (found := self._file.execute(judged, (before,)).fetchone()[0]) != more:
            raise RuntimeError(f"{found} pictures were judged, not {more}")

    def cosines(self, files: Sequence[Path]) -> list[list[float]]:
        """Judge the files and return each picture's cosines with the labels, as recorded."""
        first = self._decided
        self.judge(files)
        order = {submission: n for n, submission in enumerate(self._ids(len(files)))}
        rows = (
            select(DecisionRow.submission_id, LabelScoreRow.prompt_cosine)
            .join(LabelScoreRow, LabelScoreRow.decision_id == DecisionRow.id)
            .where(DecisionRow.id > first)
            .order_by(LabelScoreRow.position)
        )
        found: list[list[float]] = [[] for _ in files]
        with self.database.reading() as session:
            for submission, cosine in session.execute(rows):
                found[order[submission]].append(cosine)
        return found

    def decided_since(self, number: int) -> list[tuple[int, str]]:
        """Return the decisions behind this one: their numbers, and their submissions' ids."""
        later = "SELECT id, submission_id FROM decisions WHERE id > ? ORDER BY id"
        return self._file.execute(later, (number,)).fetchall()

    def _ids(self, number: int) -> list[str]:
        return [f"{self._prefix}-{self._rounds}-{n}" for n in range(number)]


@contextmanager
def our_worker(bench: Bench, name: str, **settings: Any) -> Iterator[OurWorker]:
    """Run a worker; `name` tells its files from those of others, `settings` are Settings' own."""
    folder = bench.folder / name
    folder.mkdir()
    values = {
        "broker_url": bench.redis_url,
        "queue": f"ours-{secrets.token_hex(4)}",
        "database_url": f"sqlite:///{folder / 'moderation.db'}",
        "policies": write_policy(folder / "policies", bench.labels),
        "policy": "labels",
        "media_root": bench.media,
        "model": str(bench.model),
        # Unless a benchmark says otherwise: as the rivals compute.
        "precision": "float32",
    }
    read = Settings.read(**values | settings)
    database = Database.connect(read.database_url)
    schema.upgrade(database)
    with (
        closing(_file(folder / "moderation.db")) as file,
        running_worker(read, folder / "worker.log") as process,
        Client(bench.redis_url, queue=read.queue) as client,
    ):
        yield OurWorker(read, client, process.pid, database, file)
    database.dispose()


def wait(done: Callable[[], bool], what: str) -> None:
    """Wait until it is done; TimeoutError when patience ends."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited in vain for {what}")
        time.sleep(POLL_SECONDS)


def _file(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)


def write_policy(folder: Path, labels: list[str]) -> Path:
    """Write a policy with these labels, in the words that the pipelines are given."""
    folder.mkdir()
    # As in life most pictures are harmless: of random labels half would be nearer than the background.
    told = "\n".join(f"  label-{n}: {{prompts: [{label}], review: 1}}" for n, label in enumerate(labels))
    head = "name: labels\nbackground: [an ordinary picture]\ntemplates: ['{}']\nlabels:\n"
    (folder / "labels.yaml").write_text(f"{head}{told}\n", encoding="utf-8")
    return folder
