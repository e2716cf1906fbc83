"""What is accepted over HTTP waits in the ledger, whole, until it has an outcome."""

from dataclasses import replace
from datetime import timedelta

import pytest
from moderation_client.submission import ImageUrl, InlineBytes
from sqlalchemy import select, update
from support.store_records import record, submission

from worker.domain.submissions.fingerprint import fingerprint
from worker.store.engine.column_types import utc_now
from worker.store.engine.tables import SubmissionRow
from worker.store.submissions import accepting, outcomes, publishing

SIGNED = replace(submission(), source=ImageUrl("https://cdn.example.com/cat.jpg?signature=5ec7e7"))
WHOLE = {"kind": "url", "url": SIGNED.source.url}
SHOWN = {"kind": "url", "url": str(SIGNED.source), "query": "removed"}


def accept(database, what=SIGNED):
    with database.transaction() as session:
        return accepting.accept(session, what, SHOWN, WHOLE)


def row(database):
    with database.reading() as session:
        return session.scalars(select(SubmissionRow)).one()


def make_due(database, **values):
    """Let its time to be published come; its message is not on the queue."""
    past = utc_now() - timedelta(seconds=1)
    with database.transaction() as session:
        session.execute(update(SubmissionRow).values(publish_at=past, published_at=None, **values))


def take(database, limit=10):
    with database.transaction() as session:
        return publishing.take_due(session, limit)


def test_what_is_accepted_is_accepted_once(database):
    assert accept(database)
    assert not accept(database)
    assert (row(database).state, row(database).pending_source, row(database).source) == (
        "accepted",
        WHOLE,
        SHOWN,
    )


def test_a_decision_moves_it_on_and_empties_the_whole_source(database):
    accept(database)
    record(database, SIGNED)
    found = row(database)
    assert (found.state, found.pending_source, found.publish_at) == ("decided", None, None)
    assert not accept(database)


def test_a_refusal_moves_it_on_and_then_it_can_be_accepted_anew(database):
    accept(database)
    with database.transaction() as session:
        outcomes.refuse(session, SIGNED.id, "no policy of this name", of=fingerprint(SIGNED))
    assert (row(database).state, row(database).pending_source) == ("refused", None)
    assert accept(database, submission())
    assert (row(database).state, row(database).error) == ("accepted", None)


def test_what_comes_through_the_queue_alone_has_a_fingerprint_too(database):
    record(database, submission())
    assert row(database).fingerprint == fingerprint(submission())


def test_nothing_is_due_before_its_time_and_what_is_due_is_given_to_one(database):
    accept(database)
    assert take(database) == []
    make_due(database)
    (due,) = take(database)
    assert (due.id, due.source, due.reference) == (SIGNED.id, WHOLE, "post-42")
    assert take(database) == []
    assert row(database).publish_at > utc_now()


def lost(database, moment, limit=10):
    with database.transaction() as session:
        return [one.id for one in publishing.take_lost(session, limit, moment)]


def test_what_is_on_the_queue_is_not_due_however_long_it_waits(database):
    accept(database)
    past = utc_now() - timedelta(hours=9)
    with database.transaction() as session:
        session.execute(update(SubmissionRow).values(publish_at=past, published_at=past))
    with database.reading() as session:
        assert not publishing.is_any_due(session)
    assert take(database) == []


def test_what_was_published_before_a_moment_and_never_came_is_taken_once(database):
    accept(database)
    published_at = row(database).published_at
    assert lost(database, published_at) == []
    later = published_at + timedelta(microseconds=1)
    assert lost(database, later) == [SIGNED.id]
    assert row(database).published_at > published_at
    assert lost(database, later) == []
    record(database, SIGNED)
    assert row(database).published_at is None


def test_a_message_that_cannot_be_read_takes_nothing_from_what_is_accepted_under_its_id(database):
    accept(database)
    with database.transaction() as session:
        outcomes.refuse(session, SIGNED.id, "field 'source' is missing")
        outcomes.refuse(session, SIGNED.id, "no policy of this name", of=fingerprint(submission()))
    assert (row(database).state, row(database).pending_source) == ("accepted", WHOLE)


def test_what_cannot_be_read_back_is_refused_with_the_reason_and_no_longer_due(database):
    accept(database)
    make_due(database)
    with database.transaction() as session:
        outcomes.abandon(session, SIGNED.id, "the ledger's entry cannot be read")
    assert (row(database).state, row(database).error) == ("refused", "the ledger's entry cannot be read")
    assert take(database) == []


def test_what_the_broker_did_not_take_does_not_count(database):
    accept(database)
    for _ in range(6):
        make_due(database)
        (due,) = take(database)
        with database.transaction() as session:
            publishing.give_back(session, [due.id])
    assert len(take(database)) == 1


@pytest.mark.parametrize("size", [1, 256 * 1024])
def test_bytes_wait_whole(database, size):
    what = replace(submission(), source=InlineBytes(b"a" * size))
    with database.transaction() as session:
        assert accepting.accept(session, what, None, {"kind": "bytes", "base64": "a" * size})
    assert row(database).pending_source == {"kind": "bytes", "base64": "a" * size}
