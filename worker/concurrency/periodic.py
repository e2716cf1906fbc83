"""Runs a task periodically in a background thread while a context lasts."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from worker.errors import ModerationError

log = logging.getLogger(__name__)

#: How long the end of the context waits for a running call.
STOP_SECONDS: Final = 5.0


@contextmanager
def run_periodically(work: Callable[[], object], seconds: float, *, name: str) -> Iterator[None]:
    """Call `work` every `seconds`; errors are logged, and the next call runs as scheduled."""
    stop = threading.Event()
    thread = threading.Thread(target=_run, args=(work, seconds, stop, name), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(STOP_SECONDS)


def _run(work: Callable[[], object], seconds: float, stop: threading.Event, name: str) -> None:
    while not stop.wait(seconds):
        try:
            work()
        except ModerationError as error:
            log.warning("%s: %s; trying again", name, error.message)
        except Exception:
            log.exception("%s failed; trying again", name)
