"""A child is known before anything can interrupt us."""

import os
import signal
from collections.abc import Iterator

import pytest

from worker.demo.processes import holding_signals_back


@pytest.fixture(autouse=True)
def ctrl_c_is_heeded() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted(done: list[str]) -> None:
    with holding_signals_back():
        os.kill(os.getpid(), signal.SIGINT)
        done.append("the block")
    done.append("what follows")


def test_a_signal_within_the_block_is_heeded_at_its_end():
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        interrupted(done)
    assert done == ["the block"]


def test_afterwards_signals_are_heeded_as_before():
    with holding_signals_back():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
