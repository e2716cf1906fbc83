"""What workers count is written every minute or at the end, and waits while the database is unavailable."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from support.deployment import wait_for
from support.statements import statements
from support.store_records import ALLOW, POLICY, REVIEW

from worker.domain.moderation.decision import decide_poison
from worker.errors import DatabaseUnavailableError
from worker.store.engine.clock import database_now
from worker.store.operations import label_activity
from worker.usecases.operations import count_labels
from worker.usecases.operations.count_labels import CountLabels


def uploads(database):
    with database.reading() as session:
        found = label_activity.since(session, database_now(session) - timedelta(days=1))
    return sum(hour.activity.uploads for hour in found)


def test_what_is_counted_is_written_at_the_end_and_once(database):
    count = CountLabels(database)
    with count.counting():
        for decision in (REVIEW, ALLOW, decide_poison(3)):
            count(POLICY, decision)
        assert uploads(database) == 0
    assert uploads(database) == 2
    count.write()
    assert uploads(database) == 2


def test_it_is_written_periodically(database, monkeypatch):
    monkeypatch.setattr(count_labels, "_EVERY_SECONDS", 0.01)
    count = CountLabels(database)
    written = []
    monkeypatch.setattr(count_labels.label_activity, "add", lambda _session, counts: written.append(counts))
    count(POLICY, REVIEW)
    with count.counting():
        wait_for(lambda: written, what="the counts to be written")
    assert [one[POLICY.name, POLICY.digest].uploads for one in written] == [1]


def test_nothing_is_asked_of_the_database_if_nothing_was_judged(database):
    count = CountLabels(database)
    count(POLICY, decide_poison(3))
    with statements(database) as seen:
        count.write()
    assert seen == []


def test_while_the_table_is_away_counts_wait_and_go_on(database, caplog):
    count = CountLabels(database)
    with database.transaction() as session:
        session.execute(text("ALTER TABLE label_activity RENAME TO away"))
    with count.counting():
        count(POLICY, REVIEW)
        with pytest.raises(DatabaseUnavailableError):
            count.write()
        count(POLICY, ALLOW)
    assert "what policies flagged in the last minute is not counted" in caplog.text
    with database.transaction() as session:
        session.execute(text("ALTER TABLE away RENAME TO label_activity"))
    count.write()
    assert uploads(database) == 2
