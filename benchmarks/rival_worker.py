"""Run a Celery worker with a task from `rivals/`: prefork, one single-threaded process for each core."""

import os
import secrets
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from json import loads
from pathlib import Path

from bench import Bench
from celery import Celery
from our_worker import wait
from turns import Way

from worker.stage.processes import running, wait_until

HERE = Path(__file__).parent
PROCESSES = os.cpu_count() or 1


@dataclass
class RivalWorker:
    """A running rival, and the application that feeds it."""

    app: Celery
    queue: str
    log: Path
    _database: Path
    _decided: int = 0
    _prefix: str = field(default_factory=lambda: secrets.token_hex(4))

    @property
    def way(self) -> Way:
        """One picture a message; the rival has no batches."""
        return Way(self.judge, 8)

    def judge(self, files: Sequence[Path]) -> None:
        """Enqueue each and wait until all are decided."""
        for n, file in enumerate(files, self._decided):
            self.app.send_task("rival.moderate", (f"{self._prefix}-{n}", str(file)), queue=self.queue)
        self._decided += len(files)
        wait(lambda: self._count() >= self._decided, f"the rival's decisions, see {self.log}")

    def top_labels(self, files: Sequence[Path]) -> list[str]:
        """Judge the files and return each picture's best label, as recorded."""
        first = self._decided
        self.judge(files)
        with closing(sqlite3.connect(self._database)) as file:
            found = dict(file.execute("SELECT id, scores FROM decisions"))
        numbers = range(first, self._decided)
        return [loads(found[f"{self._prefix}-{n}"])[0]["label"] for n in numbers]

    def _count(self) -> int:
        if not self._database.exists():  # created with the first decision
            return 0
        try:
            with closing(sqlite3.connect(self._database, timeout=30)) as file:
                return int(file.execute("SELECT count(*) FROM decisions").fetchone()[0])
        except sqlite3.OperationalError:  # no table yet
            return 0


@contextmanager
def rival_worker(bench: Bench, task: str) -> Iterator[RivalWorker]:
    """Run a worker with the task in the module `task` of `rivals/`."""
    name, database = f"{task}-{secrets.token_hex(4)}", bench.folder / f"{task}-{secrets.token_hex(4)}.db"
    environment = {
        "RIVAL_BROKER": bench.redis_url,
        "RIVAL_QUEUE": name,
        "RIVAL_DATABASE": f"sqlite:///{database}",
        "RIVAL_MODEL": str(bench.model),
        "RIVAL_LABELS": ",".join(bench.labels),
        "RIVAL_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(HERE / "rivals"), str(HERE)]),
    }
    command = [sys.executable, "-m", "celery", "-A", task, "worker", "-P", "prefork", "-n", name]
    command += ["-c", str(PROCESSES), "--prefetch-multiplier", "1", "--loglevel", "INFO"]
    log = bench.folder / f"{name}.log"
    with (
        running(command, log=log, environment=environment) as process,
        Celery(broker=bench.redis_url, set_as_current=False) as app,
    ):
        wait_until(
            lambda: b"ready." in log.read_bytes(),
            process=process,
            log=log,
            what="the rival's worker",
            timeout_seconds=120,
        )
        yield RivalWorker(app, name, log, database)
