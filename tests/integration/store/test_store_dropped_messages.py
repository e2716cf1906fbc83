"""What is kept of dropped messages is bounded in number, size and time, and holds no signature."""

from dataclasses import replace
from datetime import timedelta

import pytest

from worker.domain.submissions.dropped_message import EXCERPT_CHARACTERS, DroppedMessage, DropReason
from worker.store.engine.column_types import utc_now
from worker.store.submissions import dropped_messages


def message(text: bytes | str = "x", reason: DropReason = DropReason.NOT_A_TASK) -> DroppedMessage:
    return DroppedMessage.of(reason, "it is odd", text)


def test_the_newest_are_kept_and_counted_by_reason(database, monkeypatch):
    monkeypatch.setattr(dropped_messages, "MOST_KEPT", 5)
    with database.transaction() as session:
        assert dropped_messages.summary(session).count == 0
        dropped_messages.keep(session, [message(str(n)) for n in range(4)])
        dropped_messages.keep(session, [message(str(n), DropReason.NO_ID) for n in range(4, 7)])
        assert [one.excerpt for one in dropped_messages.newest(session, 9)] == ["6", "5", "4", "3", "2"]
        found = dropped_messages.summary(session)
    assert found.last_day == {DropReason.NOT_A_TASK: 2, DropReason.NO_ID: 3}


def test_what_is_old_is_forgotten(database):
    old = replace(message("old"), dropped_at=utc_now() - timedelta(days=8))
    with database.transaction() as session:
        dropped_messages.keep(session, [old, message("new")])
        assert dropped_messages.summary(session).count == 1
        dropped_messages.forget_old(session, limit=10)
        assert [one.excerpt for one in dropped_messages.newest(session, 9)] == ["new"]


@pytest.mark.parametrize(
    "text", [b"\xff\0\xfe", "odd \0 \ud800", b"[" * 100_000, "A" * 5000, b"", "x " * 10**6]
)
def test_any_text_can_be_kept(database, text):
    one = DroppedMessage.of(DropReason.NOT_A_MESSAGE, "odd \0 \ud800" * 1000, text)
    with database.transaction() as session:
        dropped_messages.keep(session, [one])
        (found,) = dropped_messages.newest(session, 9)
    assert len(found.excerpt) <= EXCERPT_CHARACTERS
    assert len(found.problem) <= 300


def test_no_signature_login_or_picture_is_kept():
    text = '{"a": "https://u:hunter2@h/x?sig=hunter2", "b": "' + "QUJD" * 100 + '"}'
    assert message(text).excerpt == '{"a": "https://h/x?...", "b": "..."}'
