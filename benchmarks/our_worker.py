"""Run `moderate worker` with a fresh database for a benchmark."""

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

from worker.bench.usage import ProcessTree, read_tree
from worker.settings import Settings
from worker.stage.service_processes import running_worker
from worker.store.engine.database import Database
from worker.store.engine.tables import DecisionRow, LabelScoreRow
from worker.store.upgrade import schema

PATIENCE_SECONDS = 600
#: Rare enough that polling takes no processor time from the worker.
POLL_SECONDS = 0.02
MANY = 64
#: Settings that decide how much runs at once.
SIZING = ("batch_size", "concurrency", "passes", "torch_threads", "decoder_processes", "precision")


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
        """One picture a message; enough pictures that the last, partly idle passes hardly count."""
        return Way(self.judge, 16 * self.settings.batch_size)

    @property
    def way_of_many(self) -> Way:
        """64 pictures a message."""
        return Way(self.judge_many, 4 * MANY)

    @property
    def decided(self) -> int:
        """Number of decisions, read from the end of an index."""
        return self._file.execute("SELECT max(id) FROM decisions").fetchone()[0] or 0

    @property
    def threads(self) -> dict[str, Any]:
        """Settings of what runs at once; 0 means that the worker chooses."""
        return {name: getattr(self.settings, name) for name in SIZING}

    @property
    def usage(self) -> ProcessTree:
        """Processor time and memory of the worker and its decoders, up to now."""
        if (tree := read_tree(self.process_id)) is None:
            raise RuntimeError("the worker has exited, or this system has no /proc")
        return tree

    def judge(self, files: Sequence[Path]) -> None:
        """Enqueue each and wait until all are decided."""
        for submission in self.submissions(files):
            self.send(submission)
        self.wait_for(len(files))

    def judge_many(self, files: Sequence[Path]) -> None:
        """Enqueue in messages of the maximum size and wait until all are decided."""
        found = self.submissions(files)
        for start in range(0, len(found), MANY):
            self.client.submit_many(found[start : start + MANY])
        self.wait_for(len(files))

    def submissions(self, files: Sequence[Path]) -> list[Submission]:
        """Return a new submission for each file, even if the file was judged before."""
        self._rounds += 1
        return [
            Submission(f"{self._prefix}-{self._rounds}-{n}", LocalFile(file.name))
            for n, file in enumerate(files)
        ]

    def send(self, submission: Submission) -> None:
        """Enqueue one."""
        self.client.submit(submission.source, id=submission.id)

    def wait_for(self, more: int) -> None:
        """Wait for this number of new decisions; raise RuntimeError unless each judged a picture."""
        before, self._decided = self._decided, self._decided + more
        wait(lambda: self.decided >= self._decided, "our worker's decisions")
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
        """Return number and submission id of each decision after this number."""
        later = "SELECT id, submission_id FROM decisions WHERE id > ? ORDER BY id"
        return self._file.execute(later, (number,)).fetchall()

    def _ids(self, number: int) -> list[str]:
        return [f"{self._prefix}-{self._rounds}-{n}" for n in range(number)]


@contextmanager
def our_worker(bench: Bench, name: str, **settings: Any) -> Iterator[OurWorker]:
    """Run a worker with these settings; `name` is the folder of its files."""
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
        # Like the rivals, unless a benchmark overrides it.
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
    """Wait until `done()`; raise TimeoutError after PATIENCE_SECONDS."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"gave up waiting for {what} after {PATIENCE_SECONDS} s")
        time.sleep(POLL_SECONDS)


def _file(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)


def write_policy(folder: Path, labels: list[str]) -> Path:
    """Write a policy with these labels; its phrases are those that the pipelines get."""
    folder.mkdir()
    # `review: 1` flags next to nothing, as in production: with random labels half would beat the background.
    entries = "\n".join(f"  label-{n}: {{prompts: [{label}], review: 1}}" for n, label in enumerate(labels))
    head = "name: labels\nbackground: [an ordinary picture]\ntemplates: ['{}']\nlabels:\n"
    (folder / "labels.yaml").write_text(f"{head}{entries}\n", encoding="utf-8")
    return folder
