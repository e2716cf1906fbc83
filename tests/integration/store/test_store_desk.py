"""Accounts, sessions, failed logins, keys and kept sources, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import delete, func, select, update
from support.store_records import record, submission

from worker.domain.accounts.reviewer import Reviewer, Role
from worker.domain.policies.policy import Action
from worker.domain.reviews.review import ReviewKind
from worker.store.accounts import desk_keys, desk_sessions, login_failures, passwords, reviewers
from worker.store.engine.column_types import utc_now
from worker.store.engine.tables import DeskSessionRow, LeaseRow, LoginFailureRow, SubmissionRow, VerdictRow
from worker.store.operations import leases
from worker.store.reviews import review_counts, review_sources, reviews, verdicts
from worker.usecases.accounts.sign_in import SignIn
from worker.usecases.operations.tidy_up import TidyUp

ADA = Reviewer("ada", Role.LEAD, frozenset({"gore", "weapons"}), 40)
WHOLE = {"kind": "url", "url": "https://cdn.example/1.jpg?signature=s3cret"}


def test_an_account_comes_back_as_it_was_given_and_once(database):
    with database.transaction() as session:
        assert reviewers.add(session, ADA, "hash")
        assert not reviewers.add(session, Reviewer("ada"), None)
        reviewers.set_role(session, "ada", Role.ADMIN)
        reviewers.set_opt_outs(session, "ada", ["nudity"])
        reviewers.set_severe_per_day(session, "ada", None)
        reviewers.set_shows_clear(session, "ada", clear=True)
    with database.reading() as session:
        account = reviewers.find(session, "ada")
        assert reviewers.count(session) == 1
        assert reviewers.find(session, "bob") is None
    assert account.reviewer == Reviewer("ada", Role.ADMIN, frozenset({"nudity"}), None)
    assert (account.password_hash, account.shows_clear, account.disabled_at) == ("hash", True, None)
    assert "hash" not in repr(account)


def test_a_session_is_found_by_its_token_alone_and_tidied_up_when_over(database):
    with database.transaction() as session:
        reviewers.add(session, ADA, None)
        first, second = (desk_sessions.begin(session, "ada", by_proxy=False) for _ in range(2))
    with database.reading() as session:
        found = desk_sessions.find(session, first)
        assert found.account.reviewer == ADA
        assert desk_sessions.find(session, found.id) is None
        assert not desk_sessions.seen_is_stale(session, found.id)
    with database.transaction() as session:
        at = utc_now() - desk_sessions.IDLE - timedelta(seconds=1)
        session.execute(update(DeskSessionRow).where(DeskSessionRow.id == found.id).values(seen_at=at))
        login_failures.note(session, "x", "192.0.2.1")
        session.execute(update(LoginFailureRow).values(failed_at=at))
    TidyUp(database, timedelta(days=30))()
    with database.transaction() as session:
        assert desk_sessions.find(session, first) is None
        assert desk_sessions.find(session, second)
        assert session.scalar(select(func.count()).select_from(DeskSessionRow)) == 1
        assert session.scalar(select(func.count()).select_from(LoginFailureRow)) == 0
        desk_sessions.end_all_of(session, "ada")
        assert desk_sessions.find(session, second) is None


def test_of_many_processes_one_a_minute_tidies_up(database):
    first, second = (TidyUp(database, timedelta(days=30)) for _ in range(2))

    def tidied_up(process):
        with database.transaction() as session:
            login_failures.note(session, "x", "192.0.2.1")
            session.execute(update(LoginFailureRow).values(failed_at=utc_now() - timedelta(days=1)))
        process.take_turn()
        with database.transaction() as session:
            return not session.execute(delete(LoginFailureRow)).rowcount

    turns = [tidied_up(first), tidied_up(second), tidied_up(first)]
    assert turns == [True, False, False]
    with database.transaction() as session:
        session.execute(update(LeaseRow).values(until=utc_now() - timedelta(seconds=1)))
    assert [tidied_up(second), tidied_up(first)] == [True, False]


def test_of_two_processes_that_look_at_once_one_gets_the_lease(database):
    barrier = Barrier(4)

    def acquire(_):
        barrier.wait()
        with database.transaction() as session:
            return leases.acquire(session, "a task", timedelta(minutes=1))

    with ThreadPoolExecutor(4) as processes:
        assert sorted(processes.map(acquire, range(4))) == [False, False, False, True]


def test_a_login_that_succeeds_forgets_the_failures_before_it(database):
    sign_in = SignIn(database)
    with database.transaction() as session:
        reviewers.add(session, ADA, passwords.hash_of("correct horse battery"))
        for _ in range(4):
            login_failures.note(session, "ada", "192.0.2.1")
    assert sign_in("Ada", "correct horse battery", "192.0.2.1")
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(LoginFailureRow)) == 0
    assert sign_in.by_proxy("nobody") is None
    assert sign_in.by_proxy("ADA")


@pytest.mark.parametrize("key", [desk_keys.picture_key, desk_keys.frame_key])
def test_every_process_has_the_same_key(database, key):
    with database.transaction() as session:
        first = key(session)
    with database.reading() as session:
        assert key(session) == first
    assert len(first) == 32


def test_each_purpose_has_a_key_of_its_own(database):
    with database.transaction() as session:
        assert desk_keys.picture_key(session) != desk_keys.frame_key(session)


def test_a_source_is_kept_as_long_as_somebody_may_look(database):
    decision_id = record(database, submission())
    long_ago = utc_now() - 2 * review_sources.KEPT_AFTER

    def kept():
        TidyUp(database, timedelta(days=30))()
        with database.reading() as session:
            return review_sources.find(session, "upload-1").whole

    with database.transaction() as session:
        review_sources.keep(session, {"upload-1": WHOLE})
        session.execute(update(SubmissionRow).values(updated_at=long_ago))
    assert kept() == WHOLE
    with database.transaction() as session:
        (review,) = reviews.of_decision(session, decision_id)
        reviews.settle(session, [review.id])
        verdict = verdicts.Verdict("upload-1", Action.ALLOW, frozenset())
        verdicts.record(session, verdict, decision_id=decision_id, reviewer="ada", review_id=review.id)
    # It can be undone still.
    assert kept() == WHOLE
    with database.transaction() as session:
        session.execute(update(VerdictRow).values(created_at=long_ago))
    assert kept() is None


def test_what_waits_is_counted_by_all_that_can_be_chosen(database):
    decision_id = record(database, submission())
    record(database, submission("upload-2"))
    with database.transaction() as session:
        (review,) = reviews.of_decision(session, decision_id)
        place = reviews.PlaceInQueue("urgent", 5.0, utc_now() - timedelta(minutes=1))
        reviews.ask(session, decision_id, ReviewKind.SECOND, place, for_lead=True)
        assert review.queue == "default"
    with database.reading() as session:
        waiting = review_counts.waiting(session, utc_now())
    assert (waiting.total, waiting.overdue, waiting.for_lead) == (3, 1, 1)
    assert (waiting.queues, waiting.policies) == ({"default": 2, "urgent": 1}, {"default": 3})
    # Nobody is told that a second look is one.
    assert waiting.kinds == {"decision": 3}
    assert waiting.labels == {"weapons": 3}
