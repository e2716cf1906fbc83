"""Lets callers in many threads share one call: what waits meanwhile goes together next."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
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

    `work` returns a result for each item, in order. If it raises, it is called again as `in_halves` says: a
    failure meets only its own caller.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        most: int,
        threads: int = 1,
        name: str,
    ) -> None:
        """Start the threads, called by `name`: that of what cannot be had once this is closed."""
        self._work = work
        self._most = most
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
        return [call.outcome.result() for call in self._enqueue(items)]

    def outcomes(self, items: Sequence[Item]) -> list[Result | BaseException]:
        """Return what `work` makes of each item, in order: a result, or what it raised over this item.

        UnavailableError once closed.
        """
        return [call.outcome.exception() or call.outcome.result() for call in self._enqueue(items)]

    def _enqueue(self, items: Sequence[Item]) -> list[_Call[Item, Result]]:
        calls: list[_Call[Item, Result]] = [_Call(item) for item in items]
        with self._changed:
            if self._closed:
                raise self._turned_away()
            self._waiting.extend(calls)
            self._changed.notify(len(calls))
        return calls

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
            return [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]

    def _settle(self, calls: Sequence[_Call[Item, Result]]) -> None:
        outcomes = in_halves(self._work, [call.item for call in calls], self._name)
        for call, outcome in zip(calls, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                call.outcome.set_exception(outcome)
            else:
                call.outcome.set_result(outcome)

    def _turned_away(self) -> UnavailableError:
        return UnavailableError(f"{self._name} is being shut down", hint="try again with another worker")


def in_halves(
    work: Callable[[Sequence[Item]], Sequence[Result]], items: Sequence[Item], name: str
) -> list[Result | BaseException]:
    """Return what `work` makes of each item, in order; if it raises, halve them until culprits are alone.

    UnavailableError fails all at once, since what is unavailable is so for each of them, unless only the
    transaction was given up.
    """
    try:
        done = list(work(items))
        if len(done) != len(items):
            raise ValueError(f"{name}: {len(done)} results for {len(items)} items")  # noqa: TRY301 - as any failure
    except BaseException as problem:  # noqa: BLE001 - each caller is given what concerns it
        if len(items) <= 1 or _meets_all(problem):
            return [problem for _ in items]
        log.warning(
            "%s: %d together failed, and are tried in halves: %s", name, len(items), in_a_line(problem)
        )
        middle = len(items) // 2
        return in_halves(work, items[:middle], name) + in_halves(work, items[middle:], name)
    return [*done]


def in_a_line(problem: BaseException) -> str:
    """Return what happened, without the statement and the values that a database's error goes on with."""
    return f"{type(problem).__name__}: {str(problem).partition(chr(10))[0]}"


def _meets_all(problem: BaseException) -> bool:
    return isinstance(problem, UnavailableError) and not isinstance(problem, TransactionGivenUpError)
