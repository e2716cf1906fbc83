"""An unavailable place is tried now and then by one thread, and said to be so once a minute."""

import logging
from types import SimpleNamespace

import pytest

from worker.errors import RemoteUnavailableError, SourceMissingError, SourceUnavailableError
from worker.images.sources.outages import REMIND_SECONDS, TRY_SECONDS, Outages

STORE = "the object store uploads"


@pytest.fixture
def clock():
    return SimpleNamespace(now=0.0)


@pytest.fixture
def outages(clock):
    return Outages(lambda: clock.now)


def read(outages, error=None, place=STORE):
    """Return whether the place was tried at all."""
    tried = False
    try:
        with outages.reading(place):
            tried = True
            if error:
                raise error
    except (SourceUnavailableError, SourceMissingError, RemoteUnavailableError):
        pass
    return tried


def away():
    return SourceUnavailableError(STORE, "it does not answer")


def test_an_unavailable_place_is_tried_once_in_a_while(outages, clock):
    assert read(outages, away())
    assert [read(outages) for _ in range(100)] == [False] * 100
    assert read(outages, place="the media root"), "another place is read"
    clock.now += TRY_SECONDS
    with outages.reading(STORE):
        assert not read(outages), "one thread tries, the others need not wait with it"
    assert [read(outages) for _ in range(100)] == [True] * 100


def test_what_fails_at_once_says_why(outages):
    read(outages, away())
    with pytest.raises(SourceUnavailableError, match="does not answer") as error, outages.reading(STORE):
        pytest.fail("it was read")
    assert error.value.resource == STORE


@pytest.mark.parametrize(
    ("error", "is_up"),
    [(None, True), (SourceMissingError("no"), True), (RemoteUnavailableError("no"), False)],
)
def test_a_place_that_answers_for_one_picture_is_available(outages, clock, error, is_up):
    read(outages, away())
    assert outages.up == {STORE: False}
    clock.now += TRY_SECONDS
    read(outages, error)
    assert outages.up == {STORE: is_up}


def test_a_log_line_comes_once_a_minute_and_one_at_the_end(outages, clock, caplog):
    with caplog.at_level(logging.INFO):
        for _ in range(100):
            for _ in range(10):
                read(outages, away())
            clock.now += 2 * REMIND_SECONDS / 100
        read(outages)
        clock.now += TRY_SECONDS
        read(outages)
    levels = [one.levelno for one in caplog.records]
    assert levels == [logging.ERROR] * 2 + [logging.WARNING]
    assert caplog.messages[0] == f"{STORE} is unavailable, its submissions wait: it does not answer"
    assert caplog.messages[-1].startswith(f"{STORE} is available again after ")
