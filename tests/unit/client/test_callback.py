"""A callback is an address or a task of the platform's own, and comes back from its record as it was."""

import pytest
from moderation_client.callback import CeleryCallback, WebhookCallback, callback_of, callback_record

from worker.errors import InvalidSubmissionError

URL = "https://platform.example/moderated?token=5ec7e7"


@pytest.mark.parametrize(
    ("callback", "record"),
    [
        (None, None),
        (WebhookCallback(URL), {"url": URL}),
        (CeleryCallback("posts.moderated", "posts"), {"task": "posts.moderated", "queue": "posts"}),
    ],
)
def test_a_callback_comes_back_from_its_record(callback, record):
    assert callback_record(callback) == record
    assert callback_of(record) == callback


def test_the_query_of_an_address_is_never_shown():
    assert "5ec7e7" not in f"{WebhookCallback(URL)} {WebhookCallback(URL)!r}"


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("https://platform.example", "must be null, an object"),
        ({}, "must be null, an object"),
        ({"url": URL, "secret": "x"}, "must be null, an object"),
        ({"task": "posts.moderated"}, "must be null, an object"),
        ({"url": "ftp://platform.example"}, "callback: a URL begins with"),
        ({"url": "https://ada:pw@platform.example/"}, "user name"),
        ({"task": "a b", "queue": "posts"}, "not the name of a task"),
        ({"task": "posts.moderated", "queue": ""}, "not the name of a queue"),
        ({"task": "moderation.check", "queue": "moderation"}, "belongs to this service"),
    ],
)
def test_what_is_no_callback_is_refused_in_words(record, words):
    with pytest.raises(InvalidSubmissionError, match=words):
        callback_of(record)
