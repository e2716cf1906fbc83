"""Who has what in hand: one claims, the others hear of it, and a lease that runs out tells of a death."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import event, select, update
from support.store_records import OTHER_VERSION, POLICY, record, submission

from worker.domain.submission import LocalFile
from worker.store import claims, submissions
from worker.store.claims import Arrival, Claim, Outcome
from worker.store.column_types import utc_now
from worker.store.tables import SubmissionConflictRow, SubmissionRow

WHOLE = {"kind": "file", "path": "upload.png"}
OTHER_PICTURE = replace(submission(), source=LocalFile("other.png"))


def arrival(what=None, policy=POLICY):
    return Arrival(what or submission(), policy.digest, WHOLE, WHOLE)


def take(database, *arrivals, process="first", alone=False):
    with database.transaction() as session:
        return claims.take(session, process, arrivals or [arrival()], alone=alone)


def outcomes(taken):
    return [one.outcome for one in taken]


def row(database, submission_id="upload-1"):
    with database.reading() as session:
        return session.scalars(select(SubmissionRow).where(SubmissionRow.id == submission_id)).one()


def expire(database):
    """Let every lease run out, as if its holder had died a while ago."""
    with database.transaction() as session:
        past = utc_now() - timedelta(seconds=1)
        session.execute(update(SubmissionRow).values(claimed_until=past, publish_at=past))


def due(database):
    with database.transaction() as session:
        return [one.id for one in submissions.take_due(session, 10)]


def test_what_is_new_is_claimed_and_kept_whole(database):
    assert take(database) == [Claim(Outcome.CLAIMED, attempt=1)]
    found = row(database)
    assert (found.state, found.attempts, found.claimed_by, found.pending_source) == (
        "accepted",
        1,
        "first",
        WHOLE,
    )
    assert found.publish_at - found.claimed_until == claims.MARGIN
    assert due(database) == []


def test_what_was_accepted_over_http_is_claimed_as_well(database):
    with database.transaction() as session:
        submissions.accept(session, submission(), WHOLE, WHOLE)
    assert take(database) == [Claim(Outcome.CLAIMED, attempt=1)]
    assert row(database).claimed_by == "first"


@pytest.mark.parametrize("accepted", [True, False])
def test_of_ten_that_ask_at_once_one_has_it(database, accepted):
    if accepted:
        with database.transaction() as session:
            submissions.accept(session, submission(), WHOLE, WHOLE)
    with ThreadPoolExecutor(10) as pool:
        found = [one for [one] in pool.map(lambda n: take(database, process=f"p{n}"), range(10))]
    assert sorted(outcomes(found)) == sorted([Outcome.CLAIMED] + [Outcome.IN_HAND] * 9)
    assert row(database).attempts == 1


def test_batches_that_overlap_in_another_order_do_not_wait_for_each_other(database):
    all_of_them = [arrival(submission(f"upload-{n}")) for n in range(40)]
    batches = [all_of_them, all_of_them[::-1], all_of_them[20:] + all_of_them[:20]]
    with ThreadPoolExecutor(3) as pool:
        taken = list(pool.map(lambda n: take(database, *batches[n], process=f"p{n}"), range(3)))
    assert sum(outcomes(found).count(Outcome.CLAIMED) for found in taken) == 40


def test_a_lease_that_ran_out_makes_it_due_and_a_suspect(database):
    take(database)
    expire(database)
    assert due(database) == ["upload-1"]
    assert take(database, process="second") == [Claim(Outcome.SUSPECT, crashes=1)]
    assert row(database).claimed_by is None
    # The attempt of a suspect counts when its turn has come.
    assert row(database).attempts == 1
    assert take(database, process="second", alone=True) == [Claim(Outcome.CLAIMED, attempt=1, crashes=1)]
    assert row(database).attempts == 2


def test_after_three_deaths_it_is_quarantined(database):
    take(database)
    for _ in range(claims.MAX_CRASHES):
        expire(database)
        (last,) = take(database, alone=True)
    assert (last.outcome, last.crashes) == (Outcome.QUARANTINE, 3)
    assert row(database).claimed_by == "first"


def test_renewing_keeps_it_in_hand_and_touches_nothing_of_others(database):
    take(database)
    take(database, arrival(submission("upload-2")), process="second")
    expire(database)
    with database.transaction() as session:
        claims.renew(session, "first", ["upload-1", "upload-2"])
    assert outcomes(take(database, process="third")) == [Outcome.IN_HAND]
    assert outcomes(take(database, arrival(submission("upload-2")), process="third")) == [Outcome.SUSPECT]


@pytest.mark.parametrize(("counts", "attempt"), [(True, 2), (False, 1)])
def test_what_is_let_go_is_due_when_it_is_to_be_tried_again(database, counts, attempt):
    take(database)
    with database.transaction() as session:
        claims.release(session, "first", ["upload-1"], again_in=timedelta(hours=1), counts=counts)
    assert due(database) == []
    with database.transaction() as session:
        session.execute(update(SubmissionRow).values(publish_at=utc_now()))
    assert due(database) == ["upload-1"]
    assert take(database, process="second") == [Claim(Outcome.CLAIMED, attempt=attempt)]


def test_who_lost_its_claim_neither_renews_nor_releases(database):
    take(database)
    expire(database)
    take(database, process="second", alone=True)
    with database.transaction() as session:
        claims.release(session, "first", ["upload-1"], again_in=timedelta(0))
        claims.renew(session, "first", ["upload-1"])
    assert row(database).claimed_by == "second"


def test_a_decision_ends_the_claim(database):
    take(database)
    record(database, submission())
    found = row(database)
    assert (found.state, found.claimed_by, found.claimed_until, found.publish_at, found.pending_source) == (
        "decided",
        None,
        None,
        None,
        None,
    )
    assert outcomes(take(database)) == [Outcome.DECIDED]


def test_under_another_version_of_the_policy_it_is_judged_again_from_the_start(database):
    take(database)
    record(database, submission())
    assert take(database, arrival(policy=OTHER_VERSION)) == [Claim(Outcome.CLAIMED, attempt=1)]
    record(database, submission(), policy=OTHER_VERSION)
    assert outcomes(take(database, arrival(policy=OTHER_VERSION))) == [Outcome.DECIDED]


def test_what_a_worker_of_the_version_before_decided_is_moved_on(database):
    record(database, submission())
    with database.transaction() as session:
        session.execute(
            update(SubmissionRow).values(state="accepted", pending_source=WHOLE, publish_at=utc_now())
        )
    assert outcomes(take(database)) == [Outcome.DECIDED]
    assert (row(database).state, row(database).pending_source, due(database)) == ("decided", None, [])


def test_what_was_refused_is_taken_anew_whatever_it_was(database):
    with database.transaction() as session:
        submissions.refuse(session, "upload-1", "no such policy")
    assert take(database, arrival(OTHER_PICTURE)) == [Claim(Outcome.CLAIMED, attempt=1)]
    assert (row(database).state, row(database).error) == ("accepted", None)


@pytest.mark.parametrize("decided", [True, False])
def test_the_same_id_with_another_picture_is_a_conflict_noted_once(database, decided):
    take(database)
    if decided:
        record(database, submission())
    for _ in range(3):
        assert outcomes(take(database, arrival(OTHER_PICTURE))) == [Outcome.CONFLICT]
    with database.reading() as session:
        (noted,) = session.scalars(select(SubmissionConflictRow)).all()
    assert (noted.submission_id, noted.source) == ("upload-1", WHOLE)


def test_an_id_twice_in_one_message(database):
    taken = take(database, arrival(), arrival(), arrival(OTHER_PICTURE))
    assert outcomes(taken) == [Outcome.CLAIMED, Outcome.IN_HAND, Outcome.CONFLICT]


def count_statements(database, batch):
    """Return how many statements it takes to claim a batch."""
    statements = []

    def note(*arguments):
        statements.append(arguments[2])

    event.listen(database.engine, "after_cursor_execute", note)
    take(database, *batch)
    event.remove(database.engine, "after_cursor_execute", note)
    return len(statements)


@pytest.mark.parametrize("known", [False, True], ids=["new", "accepted before"])
def test_many_are_claimed_with_as_many_statements_as_one(database, known):
    batches = [[arrival(submission(f"{size}-{n}")) for n in range(size)] for size in (1, 64)]
    if known:
        with database.transaction() as session:
            for one in batches[0] + batches[1]:
                submissions.accept(session, one.submission, WHOLE, WHOLE)
    one, many = (count_statements(database, batch) for batch in batches)
    assert one == many <= 6
