from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from worker.concurrency.batching import Batcher, in_halves
from worker.errors import DatabaseUnavailableError, TransactionGivenUpError, UnavailableError

pytestmark = pytest.mark.timeout(20)


class Work:
    """Doubles numbers, and fails over zero; waits at a gate and is written down."""

    def __init__(self):
        self.calls, self.too_many = [], []
        self.entered, self.gate = Event(), Event()

    def __call__(self, numbers):
        self.calls.append(list(numbers))
        self.entered.set()
        self.gate.wait()
        if any(isinstance(number, BaseException) for number in numbers):
            raise next(number for number in numbers if isinstance(number, BaseException))
        return [2 * number for number in numbers] + self.too_many


@pytest.fixture
def work():
    return Work()


@pytest.fixture
def gather(work):
    batcher = Batcher(work, most=4, name="doubling")
    yield batcher
    work.gate.set()
    batcher.close()


@pytest.fixture
def threads():
    with ThreadPoolExecutor(16) as pool:
        yield pool


def while_busy(gather, work, threads, *calls):
    """Let the first call begin, and the others wait for it, in order; return the futures of these."""
    first = threads.submit(gather, [1])
    work.entered.wait()
    futures = []
    for items in calls:
        waiting = len(gather._queue)
        futures.append(threads.submit(gather, items))
        while len(gather._queue) < waiting + len(items):
            Event().wait(0.01)
    work.gate.set()
    assert first.result() == [2]
    return futures


def test_one_alone_goes_ahead_at_once(gather, work):
    work.gate.set()
    assert gather([3]) == [6]
    assert work.calls == [[3]]


def test_what_waits_meanwhile_goes_together_and_everyone_gets_their_own(gather, work, threads):
    one, other = while_busy(gather, work, threads, [2], [3, 4])
    assert (one.result(), other.result()) == ([4], [6, 8])
    assert work.calls == [[1], [2, 3, 4]]


def test_no_call_has_more_than_it_may(gather, work, threads):
    (many,) = while_busy(gather, work, threads, list(range(10)))
    assert many.result() == [2 * n for n in range(10)]
    assert work.calls == [[1], [0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_failure_meets_only_its_own_caller(gather, work, threads, caplog):
    culprit = ValueError("poison")
    good, bad, fine = while_busy(gather, work, threads, [2], [culprit], [3])
    assert (good.result(), fine.result()) == ([4], [6])
    with pytest.raises(ValueError, match="poison"):
        bad.result()
    assert "doubling: a batch of 3 failed and is retried in halves: ValueError: poison" in caplog.text


def test_what_is_away_is_so_for_all_and_is_not_asked_again(gather, work, threads):
    away = DatabaseUnavailableError("the database is away")
    for future in while_busy(gather, work, threads, [2], [away], [3]):
        with pytest.raises(DatabaseUnavailableError):
            future.result()
    assert len(work.calls) == 2


def test_a_transaction_that_was_given_up_meets_only_whom_it_was_given_up_over(gather, work, threads):
    given_up = TransactionGivenUpError("deadlock detected")
    good, bad = while_busy(gather, work, threads, [2], [given_up])
    assert good.result() == [4]
    with pytest.raises(TransactionGivenUpError):
        bad.result()


class Panic(BaseException):
    """What some libraries raise, which is no Exception."""


def test_an_exception_of_a_kind_of_its_own_ends_no_thread(gather, work):
    work.gate.set()
    with pytest.raises(Panic):
        gather([Panic("a library's own")])
    assert gather([3]) == [6]


def test_more_results_than_items_are_an_error_that_ends_no_thread(gather, work):
    work.gate.set()
    work.too_many = [0]
    with pytest.raises(ValueError, match="2 results for 1 items"):
        gather([3])
    work.too_many = []
    assert gather([3]) == [6]


def test_each_item_has_an_outcome_of_its_own_if_that_is_asked_for(gather, work):
    work.gate.set()
    poison, panic = ValueError("poison"), Panic("a library's own")
    assert gather.outcomes([1, poison, 2, panic, 3]) == [2, poison, 4, panic, 6]


def test_what_is_unavailable_fails_every_item_and_is_asked_for_once():
    calls = []

    def unavailable(items):
        calls.append(items)
        raise DatabaseUnavailableError("the database is away")

    outcomes = in_halves(unavailable, [1, 2, 3], "doubling")
    assert [type(one) for one in outcomes] == [DatabaseUnavailableError] * 3
    assert calls == [[1, 2, 3]]


def test_the_log_of_halves_shows_no_statement_and_no_values(caplog):
    def refuse(items):
        raise ValueError("index is corrupted\n[parameters: https://cdn.example.com/?signature=5ec7e7]")

    in_halves(refuse, [1, 2], "claiming")
    assert (
        "claiming: a batch of 2 failed and is retried in halves: ValueError: index is corrupted"
        in caplog.text
    )
    assert "5ec7e7" not in caplog.text


def test_closing_turns_away_who_waits_and_who_comes(gather, work, threads):
    under_way = threads.submit(gather, [1])
    work.entered.wait()
    waiting = threads.submit(gather, [2])
    while not gather._queue:
        Event().wait(0.01)
    closing = threads.submit(gather.close)
    with pytest.raises(UnavailableError, match="doubling is being shut down"):
        waiting.result()
    work.gate.set()
    closing.result()
    assert under_way.result() == [2]
    with pytest.raises(UnavailableError, match="shut down"):
        gather([3])


def test_nothing_needs_no_call(gather, work):
    assert gather([]) == []
    assert work.calls == []
