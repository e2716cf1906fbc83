"""Does something again and again in a thread of its own, for as long as a context lasts."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from worker.errors import ModerationError

log = logging.getLogger(__name__)

#: How long the end of the context waits for work that is under way.
STOP_SECONDS: Final = 5.0


@contextmanager
def repeated(work: Callable[[], object], seconds: float, *, name: str) -> Iterator[None]:
    """Call `work` every `seconds`; whatever it raises is logged, and the next call may succeed."""
    stop = threading.Event()
    thread = threading.Thread(target=_repeat, args=(work, seconds, stop, name), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(STOP_SECONDS)


def _repeat(work: Callable[[], object], seconds: float, stop: threading.Event, name: str) -> None:
    while not stop.wait(seconds):
        try:
            work()
        except ModerationError as error:
            log.warning("%s: %s; trying again", name, error.message)
        except Exception:
            log.exception("%s failed; trying again", name)
