"""A process keeps what it has in hand, and what it could not say in time it says later: on both databases."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from moderation_client.messages import source_record, to_message
from moderation_client.submission import LocalFile, Submission
from sqlalchemy import text, update
from support.statements import statements

from worker.errors import DatabaseUnavailableError
from worker.store.engine.column_types import utc_now
from worker.store.engine.tables import SubmissionRow
from worker.store.submissions.arrivals import Arrival
from worker.store.submissions.claim_leases import ClaimRelease
from worker.store.submissions.claim_status import ClaimStatus
from worker.usecases.submissions.claim_submissions import MAX_HELD_SECONDS, ClaimSubmissions

WHAT = Submission("upload-1", LocalFile("upload.png"))
LATER = ClaimRelease(counts=True, pause=timedelta(seconds=2))
PUT_BACK = ClaimRelease(counts=False, pause=None)


@pytest.fixture
def clock():
    return SimpleNamespace(now=0.0)


@pytest.fixture
def ada(database, clock):
    return ClaimSubmissions(database, "ada", lambda: clock.now)


@pytest.fixture
def eve(database):
    return ClaimSubmissions(database, "eve")


def arrival(what=WHAT):
    return Arrival(what, "d" * 64, source_record(what.source), to_message(what)["source"])


def take(claims, what=WHAT, **options):
    (claim,) = claims([arrival(what)], **options)
    return claim


def row(database):
    with database.reading() as session:
        return session.get(SubmissionRow, WHAT.id)


def let_run_out(database):
    past = utc_now() - timedelta(seconds=1)
    with database.transaction() as session:
        session.execute(update(SubmissionRow).values(claimed_until=past, publish_at=past))


def rename(database, old, new):
    with database.transaction() as session:
        session.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))


def test_what_is_in_hand_is_renewed_until_it_is_settled(database, ada, eve):
    claim = take(ada)
    for _ in range(3):
        let_run_out(database)
        ada.renew()
        assert row(database).claimed_until > utc_now()
        assert take(eve).status is ClaimStatus.IN_FLIGHT
        assert take(ada).status is ClaimStatus.IN_FLIGHT
    ada.settled(WHAT.id, claim)
    let_run_out(database)
    ada.renew()
    assert take(eve).status is ClaimStatus.CRASHED


@pytest.mark.parametrize(("messages", "each"), [(2, 1), (16, 1), (2, 64)])
def test_what_several_messages_bring_is_claimed_in_four_statements(database, ada, eve, messages, each):
    """Insert or lock, look for decisions, tell the time, take in hand."""
    taken = replace(WHAT, id="upload-0-0")
    take(eve, taken)
    many = [arrival(replace(WHAT, id=f"upload-{m}-{n}")) for m in range(messages) for n in range(each)]

    with statements(database) as seen:
        found = ada(many)

    assert len(seen) == 4
    standings = [claim.status for claim in found]
    assert standings == [ClaimStatus.IN_FLIGHT] + [ClaimStatus.CLAIMED] * (messages * each - 1)


def test_a_process_that_stood_still_three_times_has_crashed_never(database, ada, eve):
    for _ in range(3):
        claim = take(ada)
        assert claim.status is ClaimStatus.CLAIMED
        let_run_out(database)
        theirs = take(eve, exclusive=True)
        assert (theirs.status, theirs.crashes) == (ClaimStatus.CLAIMED, 1)
        ada.renew()
        assert row(database).crashes == 0
        ada.renew()
        assert (row(database).crashes, row(database).claimed_by) == (0, "eve")
        # It ends too late, and ends nothing but itself.
        ada.release({WHAT.id: claim}, LATER)
        assert row(database).claimed_by == "eve"
        eve.release({WHAT.id: theirs}, PUT_BACK)
    assert (row(database).attempts, row(database).crashes) == (0, 0)


def test_what_cannot_be_let_go_of_now_is_let_go_of_when_the_database_is_back(database, ada, eve):
    claim = take(ada)
    rename(database, "submissions", "away")
    ada.release({WHAT.id: claim}, PUT_BACK)
    with pytest.raises(DatabaseUnavailableError):
        take(ada)
    rename(database, "away", "submissions")
    assert row(database).claimed_by == "ada"
    ada.renew()
    assert (row(database).claimed_by, row(database).attempts) == (None, 0)
    assert take(eve).attempts == 1


def test_after_an_outage_the_next_claim_is_no_crash_and_no_second_attempt(database, ada):
    claim = take(ada)
    rename(database, "submissions", "away")
    ada.release({WHAT.id: claim}, PUT_BACK)
    rename(database, "away", "submissions")
    let_run_out(database)
    again = take(ada)
    assert (again.status, again.attempts, again.crashes) == (ClaimStatus.CLAIMED, 1, 0)


def test_an_outage_that_outlasts_the_lease_is_no_crash_once_its_holder_is_heard(database, ada, eve):
    claim = take(ada)
    rename(database, "submissions", "away")
    ada.release({WHAT.id: claim}, PUT_BACK)
    rename(database, "away", "submissions")
    let_run_out(database)
    assert take(eve).status is ClaimStatus.CRASHED
    ada.renew()
    assert take(eve).status is ClaimStatus.CLAIMED


def test_suspects_that_wait_here_are_not_published_again_while_this_process_lives(database, ada, eve):
    claim = take(eve)
    let_run_out(database)
    assert take(ada).status is ClaimStatus.CRASHED
    with ada.postponing([WHAT.id]), ada.postponing([WHAT.id]):
        let_run_out(database)
        with database.transaction() as session:
            session.execute(update(SubmissionRow).values(claimed_until=None))
        ada.renew()
        assert row(database).publish_at > utc_now()
    let_run_out(database)
    ada.renew()
    assert row(database).publish_at < utc_now()
    assert eve._held[WHAT.id].claim is claim


def test_a_claim_that_is_not_committed_is_not_in_hand(database, ada):
    rename(database, "decisions", "away")
    with pytest.raises(DatabaseUnavailableError):
        take(ada)
    rename(database, "away", "decisions")
    assert take(ada).status is ClaimStatus.CLAIMED


def test_what_hangs_is_not_kept_for_ever(database, ada, eve, clock, caplog):
    take(ada)
    take(ada, replace(WHAT, id="upload-2"))
    clock.now = MAX_HELD_SECONDS + 1
    let_run_out(database)
    ada.renew()
    assert "upload-1 has been claimed for 900 s" in caplog.text
    assert take(eve).status is ClaimStatus.CRASHED
    # It hangs in a thread of a process that lives: that was no crash, but it says nothing of the picture either.
    assert row(database).crashes == 1
