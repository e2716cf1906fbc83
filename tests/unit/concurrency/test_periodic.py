"""Work beside the work: it is done until the context ends, and no failure ends it."""

import logging
import threading

import pytest

from worker.concurrency.periodic import run_periodically
from worker.errors import UnavailableError


@pytest.mark.parametrize("failure", [UnavailableError("the database is away"), RuntimeError("out of luck")])
def test_what_fails_is_done_again_and_each_failure_is_logged(failure, caplog):
    outcomes, enough = [failure, failure, None], threading.Event()

    def work():
        outcome = outcomes.pop(0) if outcomes else None
        if outcome:
            raise outcome
        enough.set()

    with caplog.at_level(logging.WARNING), run_periodically(work, 0.01, name="counting sheep"):
        assert enough.wait(30)
    assert [record.getMessage().startswith("counting sheep") for record in caplog.records] == [True, True]
    assert str(failure) in caplog.text
    assert ("Traceback" in caplog.text) is isinstance(failure, RuntimeError)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def test_it_ends_with_the_context_even_if_that_fails():
    def fail_beside_the_work():
        with run_periodically(lambda: None, 60, name="counting sheep"):
            assert threads().count("counting sheep") == 1
            raise KeyError("the end")

    with pytest.raises(KeyError, match="the end"):
        fail_beside_the_work()
    assert "counting sheep" not in threads()
