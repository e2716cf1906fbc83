"""Lets callers in many threads share one call: what waits meanwhile goes together next."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import accumulate, islice
from threading import Condition, Thread
from typing import Generic, TypeVar

from worker.errors import TransactionGivenUpError, UnavailableError

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Call(Generic[Item, Result]):
    """One item that somebody waits for."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.outcome: Future[Result] = Future()


class Gatherer(Generic[Item, Result]):
    """Calls `work` with as much as waits, at most `most` items, in threads of its own.

    There is no timer: an idle thread begins at once, be it with a single item, and what arrives meanwhile
    makes the next call. As every caller waits, no more is ever held than the callers hold themselves.

    `work` returns a result for each item, in order. Where it raises, the items are halved until the culprit
    stands alone: a failure meets only its own caller. UnavailableError meets all, since what is away is so
    for each of them, unless it was only the transaction that was given up.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        most: int,
        threads: int = 1,
        name: str,
        size: Callable[[Item], int] = lambda _item: 1,
    ) -> None:
        """Start the threads, called by `name`: that of what cannot be had once this is closed.

        `size` says for how many an item counts; one that is larger than `most` goes alone.
        """
        self._work = work
        self._most, self._size = most, size
        self._name = name
        self._waiting: deque[_Call[Item, Result]] = deque()
        self._changed = Condition()
        self._closed = False
        self._threads = [Thread(target=self._run, name=name, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def __call__(self, items: Sequence[Item]) -> list[Result]:
        """Return what `work` makes of each item, in order; raise what it raised over the first that failed.

        UnavailableError once closed.
        """
        calls: list[_Call[Item, Result]] = [_Call(item) for item in items]
        with self._changed:
            if self._closed:
                raise self._turned_away()
            self._waiting.extend(calls)
            self._changed.notify(len(calls))
        return [call.outcome.result() for call in calls]

    def close(self) -> None:
        """Finish the calls under way and turn away whoever waits for the next ones; twice is once."""
        with self._changed:
            self._closed = True
            abandoned = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        for call in abandoned:
            call.outcome.set_exception(self._turned_away())
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while calls := self._take():
            self._settle(calls)

    def _take(self) -> list[_Call[Item, Result]]:
        """Return what waits, as much as one call may have; nothing when there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return [self._waiting.popleft() for _ in range(self._fitting())]

    def _fitting(self) -> int:
        """Return how many of those that wait fit into one call; one that is too large fits alone."""
        sizes = accumulate(self._size(call.item) for call in islice(self._waiting, self._most))
        return sum(size <= self._most for size in sizes) or min(1, len(self._waiting))

    def _settle(self, calls: Sequence[_Call[Item, Result]]) -> None:
        try:
            done = list(zip(calls, self._work([call.item for call in calls]), strict=True))
        except BaseException as problem:  # noqa: BLE001 - raised again where the caller waits, else for ever
            self._fail(calls, problem)
            return
        for call, result in done:
            call.outcome.set_result(result)

    def _fail(self, calls: Sequence[_Call[Item, Result]], problem: BaseException) -> None:
        if len(calls) == 1 or _meets_all(problem):
            for call in calls:
                call.outcome.set_exception(problem)
            return
        log.warning("%s: %d together failed, and are tried in halves: %r", self._name, len(calls), problem)
        middle = len(calls) // 2
        self._settle(calls[:middle])
        self._settle(calls[middle:])

    def _turned_away(self) -> UnavailableError:
        return UnavailableError(f"{self._name} is being shut down", hint="try again with another worker")


def _meets_all(problem: BaseException) -> bool:
    return isinstance(problem, UnavailableError) and not isinstance(problem, TransactionGivenUpError)
