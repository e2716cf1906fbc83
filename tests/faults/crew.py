"""A pool of worker processes with a supervisor that restarts them, as compose's `restart:` does."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
from faults.worker_process import NOTES
from support.deployment import wait_for

TESTS = Path(__file__).parents[1]
POLL_SECONDS = 0.1
#: Pause before a worker that exited by itself is restarted: the cause may persist.
PAUSE_SECONDS = 1.0
READY_SECONDS = 180
STOP_SECONDS = 25


@dataclass
class Worker:
    """One worker process."""

    process: "subprocess.Popen[bytes]"
    log: Path
    #: Whether the fault suite has ended it.
    was_signalled: bool = False
    was_ready: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether it is alive and waits for jobs."""
        if self.process.poll() is not None:
            return False
        self.was_ready = self.was_ready or b"ready." in self.log.read_bytes()
        return self.was_ready

    @property
    def memory_bytes(self) -> int:
        """The resident memory of this process, without its decoders."""
        with suppress(psutil.Error):
            return int(psutil.Process(self.process.pid).memory_info().rss)
        return 0

    def send_signal(self, number: int) -> None:
        """Send a signal that ends it."""
        self.was_signalled = True
        with suppress(ProcessLookupError):
            self.process.send_signal(number)


@dataclass
class UnexpectedExit:
    """A worker that exited by itself."""

    exit_code: int
    log: Path


class WorkerPool:
    """Keeps `size` workers running while the block runs."""

    def __init__(self, environment: Mapping[str, str], folder: Path, size: int) -> None:
        paths = [str(TESTS.parent), str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
        notes = folder / "notes"
        notes.mkdir()
        self.environment = {
            **os.environ,
            # There are more workers here than processors.
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "PASSIVE",
            **environment,
            "PYTHONPATH": os.pathsep.join(paths),
            NOTES: str(notes),
        }
        self._folder, self._size = folder, size
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._workers: list[Worker] = []
        self._started = 0
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)
        self.notes = notes
        #: Workers that exited by themselves, and the exit codes of the others.
        self.unexpected_exits: list[UnexpectedExit] = []
        self.exit_codes: list[int] = []

    def __enter__(self) -> Self:
        for _ in range(self._size):
            self._workers.append(self._start())
        self._supervisor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._supervisor.join()
        for worker in self._workers:
            worker.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for worker in self._workers:
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(max(0.1, deadline - time.monotonic()))
            with suppress(ProcessLookupError):
                os.killpg(worker.process.pid, signal.SIGKILL)
            worker.process.wait()

    @property
    def workers(self) -> list[Worker]:
        with self._lock:
            return list(self._workers)

    @property
    def ready(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.is_ready and not worker.was_signalled]

    def wait_until_ready(self) -> list[Worker]:
        """Wait until every worker is ready, and return them."""

        def all_of_them() -> list[Worker]:
            ready = self.ready
            return ready if len(ready) == self._size else []

        return wait_for(all_of_them, what=f"the workers, see {self._folder}", seconds=READY_SECONDS)

    def wait_for_one(self) -> Worker:
        """Wait until a worker is ready, and return the one that has been running longest."""
        return wait_for(lambda: self.ready, what=f"a worker, see {self._folder}", seconds=READY_SECONDS)[0]

    @contextmanager
    def restarted_with(self, **variables: str) -> Iterator[None]:
        """Restart all workers with these variables while the block runs, and without them afterwards."""
        before = self.environment
        self._restart(before | variables)
        try:
            yield
        finally:
            self._restart(before)

    def _restart(self, environment: dict[str, str]) -> None:
        self.environment = environment
        for worker in self.workers:
            worker.send_signal(signal.SIGTERM)
        self.wait_until_ready()

    def _start(self) -> Worker:
        self._started += 1
        log = self._folder / f"worker-{self._started:03}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "faults.worker_process"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
            )
        return Worker(process, log)

    def _supervise(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            for worker in self.workers:
                if worker.process.poll() is not None:
                    self._replace(worker)

    def _replace(self, worker: Worker) -> None:
        # SIGKILL is also what a worker sends itself at a marked moment.
        if not worker.was_signalled and worker.process.returncode != -signal.SIGKILL:
            self.unexpected_exits.append(UnexpectedExit(worker.process.returncode, worker.log))
            if self._ended.wait(PAUSE_SECONDS):
                return
        else:
            self.exit_codes.append(worker.process.returncode)
        with self._lock:
            # At the end: the first worker is the one that has been running longest.
            self._workers.remove(worker)
            self._workers.append(self._start())
