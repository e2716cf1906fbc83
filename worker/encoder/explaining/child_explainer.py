"""Explains labels in a child process that is started on first use and ended when nothing is asked of it."""

import json
import logging
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from worker import child_python
from worker.encoder.explaining.protocol import Cells, Contrast, ExplainedModel, Method
from worker.errors import ModelError, UnavailableError
from worker.images.preprocessing import Pixels, Preprocessing
from worker.images.processes.messages import BrokenMessageError, receive, send

log = logging.getLogger(__name__)

#: Time limits: importing torch and loading a model on a busy machine; 50 passes of a large one.
_START_SECONDS: Final = 120.0
_ANSWER_SECONDS: Final = 120.0
#: How long the child outlives the last request.
IDLE_SECONDS: Final = 300.0
#: Callers wait this long for those before them.
_TURN_SECONDS: Final = 180.0
_MOST_CELL_BYTES: Final = 4 * 256 * 256
#: From the end of the connection until the kernel has the exit status.
_END_SECONDS: Final = 5.0
#: The hub's cache is found by these; a process that serves people downloads no model.
_CACHE_VARIABLES: Final = ("HOME", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")
_OFFLINE: Final = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
_CHILD_MODULE: Final = "worker.encoder.explaining.child"
_NOT_HERE: Final = "its files are not on this machine"
_INSTEAD: Final = "`moderate explain ID --heatmap FILE.png` draws it on a machine with the model"


@dataclass(frozen=True, slots=True)
class ChildSettings:
    """How the child loads its model."""

    #: `demo`, a folder, or a hub id that is in the cache.
    model: str
    threads: int
    #: Of heap and the like (RLIMIT_DATA); the child cannot take more.
    memory_bytes: int


class ChildExplainer:
    """Explains labels, one at a time, without a model in this process; safe to call from many threads."""

    def __init__(self, settings: ChildSettings, *, child_module: str = _CHILD_MODULE) -> None:
        self._settings = settings
        self._module = child_module
        self._turn = threading.Lock()
        self._child: _Child | None = None
        self._used = 0.0

    @property
    def pid(self) -> int | None:
        """Process id of the child; None while there is none."""
        child = self._child
        return child.pid if child and child.is_alive() else None

    def model(self) -> ExplainedModel:
        """Return what is known of the model; loads it if necessary.

        ModelError if it cannot be loaded, UnavailableError if the child fails or is busy for too long.
        """
        with _turn_of(self._turn):
            return self._running().model

    def explain(self, pixels: Pixels, contrast: Contrast) -> Cells:
        """Return the cells of a prepared picture that speak for a label; errors as in `model`."""
        request = {
            "shape": pixels.shape,
            "prompt": contrast.prompt,
            "background": contrast.background,
            "templates": contrast.templates,
        }
        with _turn_of(self._turn):
            child = self._running()
            try:
                header, cells = child.ask(request, pixels.tobytes())
                return np.frombuffer(cells, np.float32).reshape(header["shape"])
            except BaseException:
                self._end()
                raise

    def end_if_idle(self) -> None:
        """End the child if it has been idle for `IDLE_SECONDS`; to be called now and then."""
        if not self._turn.acquire(blocking=False):
            return
        try:
            if self._child and time.monotonic() - self._used > IDLE_SECONDS:
                log.info("the process with the model for heat maps is ended: nothing is asked of it")
                self._end()
        finally:
            self._turn.release()

    def close(self) -> None:
        """End the child; a thread that waits for its answer gets UnavailableError."""
        if child := self._child:
            child.close()

    def _running(self) -> "_Child":
        self._used = time.monotonic()
        if self._child is None or not self._child.is_alive():
            self._end()
            self._child = _Child(self._settings, self._module)
        return self._child

    def _end(self) -> None:
        if self._child:
            self._child.close()
            self._child = None


@contextmanager
def _turn_of(lock: threading.Lock) -> Iterator[None]:
    """Hold a lock; UnavailableError if the callers before take too long."""
    if not lock.acquire(timeout=_TURN_SECONDS):
        raise UnavailableError("the heat map waited too long for others", hint="ask for it again")
    try:
        yield
    finally:
        lock.release()


class _Child:
    """The running process, and the connection to it."""

    def __init__(self, settings: ChildSettings, module: str) -> None:
        """Start it, and wait until it has loaded the model."""
        self._settings = settings
        self._connection, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our module, by this Python
                child_python.command(module, json.dumps(asdict(settings))),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env=_environment(settings.threads),
                # Ctrl-C is for the parent.
                start_new_session=True,
            )
        except OSError as problem:
            self._connection.close()
            raise UnavailableError(
                f"the heat map needs the model, whose process does not start: {problem}", hint=_INSTEAD
            ) from problem
        finally:
            theirs.close()
        try:
            loaded = self._answer(time.monotonic() + _START_SECONDS, most_bytes=0)[0]
        except BaseException:
            self.close()
            raise
        self.model = ExplainedModel(
            tuple(loaded["digests"]), Method(loaded["method"]), Preprocessing(**loaded["preprocessing"])
        )

    def ask(self, request: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytearray]:
        """Return the answer to a request."""
        deadline = time.monotonic() + _ANSWER_SECONDS
        try:
            send(self._connection, request, data, deadline=deadline)
        except OSError as problem:
            raise self._failed(problem) from problem
        return self._answer(deadline, most_bytes=_MOST_CELL_BYTES)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """Kill it and close the connection."""
        self._process.kill()
        self._process.wait()
        self._connection.close()

    def _answer(self, deadline: float, most_bytes: int) -> tuple[dict[str, Any], bytearray]:
        try:
            header, body = receive(self._connection, most_bytes=most_bytes, deadline=deadline)
        except (OSError, EOFError, BrokenMessageError) as problem:
            raise self._failed(problem) from problem
        if "error" in header:
            why = _NOT_HERE if "HF_HUB_OFFLINE" in header["error"] else header["error"]
            raise ModelError(f"the heat map needs the model: {why}", hint=_INSTEAD)
        return header, body

    def _failed(self, problem: Exception) -> UnavailableError:
        limit = f"it may take {self._settings.memory_bytes / 2**20:,.0f} MiB of memory"
        return UnavailableError(
            f"the heat map needs the model: {self._what_happened(problem)}; {limit}", hint=_INSTEAD
        )

    def _what_happened(self, problem: Exception) -> str:
        if isinstance(problem, TimeoutError):
            return f"it gave no answer in {_ANSWER_SECONDS:g} s"
        try:
            return f"its process ended with {self._process.wait(_END_SECONDS)}"
        except subprocess.TimeoutExpired:
            return "it sent an invalid answer"


def _environment(threads: int) -> dict[str, str]:
    """Return an environment without secrets in which the model's files are found."""
    found = {name: os.environ[name] for name in _CACHE_VARIABLES if name in os.environ}
    return child_python.bare_environment() | found | _OFFLINE | {"OMP_NUM_THREADS": str(threads)}
