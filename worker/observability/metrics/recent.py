"""Caches a reading that may be slow or fail; its callers never wait long and never fail."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

log = logging.getLogger(__name__)

Value = TypeVar("Value")

#: How long a reading is reused; concurrent callers share one.
KEEP_SECONDS: Final = 5.0
#: Callers wait this long at most; a scrape of Prometheus times out after ten seconds.
WAIT_SECONDS: Final = 3.0


class Recent(Generic[Value]):
    """Call it for a recent result of `read`; None if that failed or takes too long.

    Thread-safe; only one thread calls `read` at a time.
    """

    def __init__(
        self,
        read: Callable[[], Value],
        what: str,
        *,
        keep_seconds: float = KEEP_SECONDS,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._read, self._what = read, what
        self._keep_seconds, self._wait_seconds = keep_seconds, wait_seconds
        self._lock = threading.Lock()
        self._latest: Future[Value] | None = None
        self._ended_at = 0.0
        self._failing = False

    def __call__(self) -> Value | None:
        """Return a reading that is a few seconds old at most."""
        try:
            return self._reading().result(self._wait_seconds)
        except Exception:  # noqa: BLE001 - it has been logged, and is not the caller's error
            return None

    def _reading(self) -> "Future[Value]":
        with self._lock:
            if self._latest is None or self._is_old(self._latest):
                self._latest = Future()
                threading.Thread(
                    target=self._read_into, args=(self._latest,), name=f"reading {self._what}", daemon=True
                ).start()
            return self._latest

    def _is_old(self, reading: "Future[Value]") -> bool:
        return reading.done() and time.monotonic() - self._ended_at >= self._keep_seconds

    def _read_into(self, reading: "Future[Value]") -> None:
        try:
            value = self._read()
        except Exception as error:  # noqa: BLE001 - raised again in the waiting threads
            self._ended_at = time.monotonic()
            reading.set_exception(error)
            if not self._failing:
                log.warning("%s cannot be read: %s", self._what, error)
            self._failing = True
        else:
            self._ended_at = time.monotonic()
            reading.set_result(value)
            self._failing = False
