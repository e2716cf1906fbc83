"""Dropped messages are written down soon, and wait in memory, bounded, while the database is unavailable."""

import pytest
from sqlalchemy import text
from support.broken_rows import break_rows, mend_rows
from support.deployment import wait_for

from worker.domain.submissions.dropped_message import DropReason
from worker.errors import DatabaseUnavailableError
from worker.store.submissions import dropped_messages
from worker.usecases.submissions.keep_dropped import KeepDropped


def kept(database):
    with database.reading() as session:
        return [one.excerpt for one in dropped_messages.newest(session, limit=100)]


def test_what_is_noted_is_counted_at_once_and_written_soon_or_at_the_end(database):
    counted = []
    keep = KeepDropped(database, counted.append)
    with keep.keeping():
        keep.note(DropReason.NO_ID, "it has none", b"first")
        assert counted == ["no_id"]
        wait_for(lambda: kept(database) == ["first"], what="the first to be written")
        keep.note(DropReason.EXPIRED, "too late", {"id": "second"})
    assert kept(database) == ['{"id": "second"}', "first"]


def test_while_the_table_is_away_messages_wait_in_order(database):
    keep = KeepDropped(database, lambda _: None)
    with database.transaction() as session:
        session.execute(text("ALTER TABLE dropped_messages RENAME TO away"))
    for words in ("a", "b"):
        keep.note(DropReason.NO_ID, "", words)
    with pytest.raises(DatabaseUnavailableError):
        keep._write()
    with database.transaction() as session:
        session.execute(text("ALTER TABLE away RENAME TO dropped_messages"))
    keep.note(DropReason.NO_ID, "", "c")
    keep._write()
    assert kept(database) == ["c", "b", "a"]


def test_one_that_never_fits_is_skipped_and_the_others_are_kept(database):
    keep = KeepDropped(database, lambda _: None)
    break_rows(database, "excerpt = 'bad'", table="dropped_messages")
    for words in ("a", "bad", "b"):
        keep.note(DropReason.NO_ID, "", words)
    keep._write()
    assert kept(database) == ["b", "a"]
    assert keep._take() == []


def test_while_no_row_can_be_written_nothing_is_lost_and_the_shutdown_goes_on(database, caplog):
    keep = KeepDropped(database, lambda _: None)
    break_rows(database, "excerpt IS NOT NULL", table="dropped_messages")
    with keep.keeping():
        for words in ("a", "b"):
            keep.note(DropReason.NO_ID, "", words)
    assert "dropped messages could not be stored" in caplog.text
    mend_rows(database, table="dropped_messages")
    keep._write()
    assert kept(database) == ["b", "a"]
