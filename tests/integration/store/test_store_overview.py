"""The deployment at a glance, on both databases: what is counted, and by which index."""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import event, text, update
from support.store_records import ALLOW, record, record_everything, submission

from worker.domain.operations.backlog import PendingCount
from worker.domain.policies.policy import Action
from worker.domain.reviews.review import ReviewKind
from worker.store.engine.column_types import utc_now
from worker.store.engine.tables import DecisionRow, OutboxRow, PolicyStateRow, SubmissionRow
from worker.store.operations import overview
from worker.store.operations.overview import Lately
from worker.store.submissions import accepting, outcomes, publishing
from worker.store.upgrade import schema


def backlog(database):
    with database.reading() as session:
        return overview.backlog(session)


def happenings(database):
    with database.reading() as session:
        return overview.happenings(session)


def change(database, table, **values):
    with database.transaction() as session:
        session.execute(update(table).values(**values))


def test_nothing_waits_in_an_empty_database(database):
    found = backlog(database)
    assert (found.undecided, found.outbox, found.given_up, found.workers) == (
        PendingCount(),
        PendingCount(),
        0,
        0,
    )
    assert found.reviews == dict.fromkeys(ReviewKind, PendingCount())
    assert found.undecided.seconds(found.at) == 0
    happened = happenings(database)
    assert happened.decisions == dict.fromkeys(Action, Lately())
    assert (happened.conflicts, happened.newest_conflict) == (Lately(), None)


def test_what_waits_is_counted_with_its_oldest(database):
    record_everything(database)
    with database.transaction() as session:
        accepting.accept(session, submission("upload-9"), None, {"kind": "file", "path": "a.png"})
        old = utc_now() - timedelta(hours=2)
        session.execute(update(SubmissionRow).where(SubmissionRow.id == "upload-9").values(created_at=old))
    found = backlog(database)
    assert found.undecided == PendingCount(2, old)
    assert (found.outbox.count, found.workers) == (3, 1)
    assert found.set_aside.count == 1
    assert found.outbox.seconds(found.at) < 600
    assert found.reviews[ReviewKind.DECISION].count == 1
    change(database, OutboxRow, error="callback: the host platform.example is not allowed")
    assert backlog(database).left_to_others == 3
    change(database, OutboxRow, attempts=1)
    assert backlog(database).left_to_others == 0
    change(database, OutboxRow, state="given_up")
    change(database, PolicyStateRow, seen_at=utc_now() - timedelta(seconds=91))
    found = backlog(database)
    assert (found.outbox.count, found.given_up, found.workers) == (0, 3, 0)


def test_what_waits_for_something_unavailable_is_counted_by_what_that_is(database):
    old = utc_now() - timedelta(hours=2)
    with database.transaction() as session:
        for n, resource in enumerate([None, "the media root", "the media root", "the decoders"]):
            accepting.accept(session, submission(f"waits-{n}"), None, {"kind": "file", "path": "a.png"})
            row = update(SubmissionRow).where(SubmissionRow.id == f"waits-{n}")
            session.execute(row.values(waits_for=resource, error=f"why {n}", created_at=old))
    assert backlog(database).waiting_for == {
        "the decoders": PendingCount(1, old),
        "the media root": PendingCount(2, old),
    }
    with database.reading() as session:
        assert overview.why_waiting(session, "the decoders") == "why 3"
    with database.transaction() as session:
        outcomes.refuse(session, "waits-3", "done", of=None)
        outcomes.close(session, [f"waits-{n}" for n in range(4)])
    assert backlog(database).waiting_for == {}


def test_what_nobody_puts_on_the_queue_again_is_overdue_from_when_it_was_due(database):
    due = utc_now() - timedelta(minutes=2)
    with database.transaction() as session:
        for name, publish_at in (("late", due), ("later", due + timedelta(hours=1))):
            accepting.accept(session, submission(name), None, {"kind": "file", "path": "a.png"})
            session.execute(
                update(SubmissionRow)
                .where(SubmissionRow.id == name)
                .values(publish_at=publish_at, published_at=None)
            )
    assert backlog(database).overdue == PendingCount(1, due)


def test_what_waits_for_its_policy_is_counted_by_policy_and_what_is_queued_is_not_overdue(database):
    past = utc_now() - timedelta(hours=2)
    with database.transaction() as session:
        for name in ("one", "two", "queued"):
            what = replace(submission(name), policy="strict")
            accepting.accept(session, what, None, {"kind": "file", "path": "a.png"})
        session.execute(update(SubmissionRow).values(publish_at=past, created_at=past))
        waits = SubmissionRow.id != "queued"
        session.execute(update(SubmissionRow).where(waits).values(error="not in force", published_at=None))
    assert backlog(database).without_policy == {"strict": PendingCount(2, past)}
    assert backlog(database).overdue == PendingCount(2, past)
    # A second judgement waits as visibly, and a decision ends it.
    change(database, SubmissionRow, state="decided")
    assert backlog(database).without_policy == {"strict": PendingCount(2, past)}
    with database.transaction() as session:
        outcomes.close(session, ["one", "two"])
    assert backlog(database).without_policy == {}


def test_what_a_worker_of_the_previous_version_decided_waits_for_nothing(database):
    record(database, submission())
    past = utc_now() - timedelta(hours=2)
    change(database, SubmissionRow, published_at=past, waits_for="the media root")
    assert backlog(database).waiting_for == {}
    with database.transaction() as session:
        assert not publishing.is_any_queued_before(session, utc_now())
        assert publishing.take_lost(session, 10, utc_now()) == []


def test_what_happened_is_counted_by_hour_and_day(database):
    record_everything(database)
    record(database, submission("upload-2"), decision=ALLOW)
    change(database, DecisionRow, created_at=utc_now() - timedelta(hours=3))
    record(database, submission("upload-3"), decision=ALLOW)
    change(database, SubmissionRow, attempts=2)
    with database.transaction() as session:
        outcomes.refuse(session, "upload-4", "no such policy")
    found = happenings(database)
    assert found.decisions[Action.ALLOW] == Lately(1, 2)
    assert found.decisions[Action.REVIEW] == Lately(0, 1)
    assert found.decisions[Action.BLOCK] == Lately()
    assert found.tried_again.last_day == 4
    assert (found.refused, found.conflicts) == (Lately(1, 1), Lately(1, 1))
    assert found.newest_conflict == "upload-1"


def test_no_glance_reads_a_table_that_grows(database):
    """Whatever is asked of submissions and decisions goes by an index, as the database itself says."""
    record_everything(database)
    asked = []

    def note(_connection, _cursor, statement, parameters, _context, _many):
        asked.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    backlog(database)
    happenings(database)
    event.remove(database.engine, "before_cursor_execute", note)
    with database.reading() as session:
        connection = session.connection()
        if connection.dialect.name == "postgresql":
            # So few rows would be read one by one.
            connection.execute(text("SET LOCAL enable_seqscan = off"))
            explain, scan = "EXPLAIN ", "Seq Scan"
        else:
            explain, scan = "EXPLAIN QUERY PLAN ", "SCAN submissions\n"
        looked = 0
        for statement, parameters in asked:
            if "FROM submissions" in statement or "FROM decisions" in statement:
                rows = connection.exec_driver_sql(explain + statement, parameters)
                plan = "\n".join(str(row[-1]) for row in rows) + "\n"
                assert scan not in plan, plan
                assert "index" in plan.lower(), plan
                looked += 1
    assert looked == 7


def test_the_revision_is_told(database):
    with database.reading() as session:
        assert schema.revision(session) == schema.head()
