"""A fair shared/exclusive lock: work that may kill this process runs alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition


class SharedLock:
    """Held by many threads in shared mode, or by one in exclusive mode.

    Fair: a waiting exclusive holder goes before new shared ones; then those that waited for it go first.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._shared_holders = 0
        self._is_exclusive = False
        self._waiting_exclusive = 0
        self._waiting_shared = 0
        #: Waiting shared holders that go before the next exclusive one.
        self._passes = 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold the lock in shared mode."""
        with self._changed:
            self._waiting_shared += 1
            try:
                self._changed.wait_for(self._admits_shared)
                self._shared_holders += 1
            finally:
                self._waiting_shared -= 1
                self._passes = max(self._passes - 1, 0)
        try:
            yield
        finally:
            self._release(self._drop_shared)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the lock in exclusive mode."""
        with self._changed:
            self._waiting_exclusive += 1
            try:
                self._changed.wait_for(self._admits_exclusive)
                self._is_exclusive = True
            finally:
                self._waiting_exclusive -= 1
        try:
            yield
        finally:
            self._release(self._drop_exclusive)

    def _admits_shared(self) -> bool:
        return not self._is_exclusive and (self._waiting_exclusive == 0 or self._passes > 0)

    def _admits_exclusive(self) -> bool:
        return not self._is_exclusive and self._shared_holders == 0 and self._passes == 0

    def _drop_shared(self) -> None:
        self._shared_holders -= 1

    def _drop_exclusive(self) -> None:
        self._is_exclusive = False
        self._passes = self._waiting_shared

    def _release(self, drop: Callable[[], None]) -> None:
        with self._changed:
            drop()
            self._changed.notify_all()
