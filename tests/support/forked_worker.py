"""Workers that start fast: each is forked from a server that has imported what a worker needs.

A worker started from scratch needs 7 s of CPU until it is ready, most of it to import torch and transformers;
a forked one needs 1 s. The server is the fork server of multiprocessing: each pytest process starts one with
its first worker, and it exits with pytest. It is single-threaded, since a fork copies only one thread.
"""

import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from worker.stage.processes import _stop, deferred_signals, wait_until

#: Everything that a worker imports, much of it only when it loads a model or opens a connection.
PRELOADED = [
    "celery.worker.components",
    "psycopg",
    "transformers.models.auto.processing_auto",
    "transformers.models.clip.image_processing_pil_clip",
    "transformers.models.clip.modeling_clip",
    "transformers.models.clip.tokenization_clip",
    "worker.cli.main",
    "worker.cli.operations.worker",
    "worker.encoder.towers.transformers_encoder",
    "worker.tasks.consumer",
]
START_SECONDS = 120

forking = multiprocessing.get_context("forkserver")
forking.set_forkserver_preload(PRELOADED)


class ForkedProcess:
    """The part of `subprocess.Popen` that tests use, for a child of the fork server."""

    def __init__(self, command: Callable[[], object], log: Path, environment: Mapping[str, str]) -> None:
        log.write_bytes(b"")
        place = (log, Path.cwd(), os.environ | dict(environment))
        # As a daemon it is terminated with pytest if a test leaves it behind.
        self._process = forking.Process(target=_run, args=(command, *place), daemon=True)
        # An interrupted start would leave behind a process without a handle.
        with deferred_signals():
            self._process.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("a forked process", timeout)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@contextmanager
def forked_worker(environment: Mapping[str, str], log: Path) -> Iterator[ForkedProcess]:
    """Run `moderate worker` with these variables added to ours; yield when it is ready for jobs."""
    process = ForkedProcess(_moderate_worker, log, environment)
    try:
        wait_until(
            lambda: b"ready." in log.read_bytes(),
            process=process,
            log=log,
            what="the forked worker",
            timeout_seconds=START_SECONDS,
        )
        yield process
    finally:
        _stop(process)


def _run(command: Callable[[], object], log: Path, folder: Path, environment: Mapping[str, str]) -> None:
    """Run a command in this child as if a shell had started it."""
    os.setsid()
    _redirect(log)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    _require_one_thread()
    threading.Thread(target=_die_with_pytest, daemon=True).start()
    try:
        command()
    finally:
        # multiprocessing exits by `os._exit`, which skips these.
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()


def _moderate_worker() -> None:
    if missing := [name for name in PRELOADED if name not in sys.modules]:
        raise RuntimeError(f"the fork server could not import {', '.join(missing)}")
    from worker.__main__ import main  # noqa: PLC0415 - only a worker needs the command line

    sys.argv = ["moderate", "worker"]
    main()


def _redirect(log: Path) -> None:
    """Redirect the output to the log, buffered like a file."""
    writing = os.O_WRONLY | os.O_APPEND
    for number, file, flags in ((0, os.devnull, os.O_RDONLY), (1, log, writing), (2, log, writing)):
        opened = os.open(file, flags)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = sys.__stdin__ = os.fdopen(0, closefd=False)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)


def _require_one_thread() -> None:
    """Refuse a server with threads: a fork drops them, but keeps the locks that they held."""
    if (threads := psutil.Process(os.getppid()).num_threads()) != 1:
        raise RuntimeError(f"the fork server has {threads} threads")


def _die_with_pytest() -> None:
    """Kill this process when pytest has exited for any reason; the server exits with its last child."""
    multiprocessing.parent_process().join()
    os.kill(os.getpid(), signal.SIGKILL)
