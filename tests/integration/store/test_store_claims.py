"""Who has a submission in hand: one worker at a time, until it is decided, let go of, or its holder dies."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from moderation_client.messages import from_message, source_record, to_message
from moderation_client.submission import ImageUrl, InlineBytes, LocalFile
from sqlalchemy import event, select, update
from support.store_records import FACTS, OTHER_VERSION, POLICY, record, submission

from worker.domain.submissions.fingerprint import fingerprint
from worker.store.engine.column_types import utc_now
from worker.store.engine.tables import SubmissionConflictRow, SubmissionRow
from worker.store.operations import overview
from worker.store.submissions import (
    accepting,
    claim_leases,
    claim_status,
    claims,
    due_times,
    outcomes,
    publishing,
    submissions,
)
from worker.store.submissions.arrivals import Arrival
from worker.store.submissions.claim_leases import ClaimRelease
from worker.store.submissions.claim_status import ClaimResult, ClaimStatus
from worker.store.submissions.publishing import PendingSubmission

CLAIMED = ClaimResult(ClaimStatus.CLAIMED, attempts=1)
SIGNED = replace(submission(), source=ImageUrl("https://cdn.example.com/cat.jpg?signature=5ec7e7"))
AGAIN = replace(SIGNED, again="since-the-edit")
WHOLE = {"kind": "url", "url": SIGNED.source.url}
SOON = ClaimRelease(counts=True, pause=timedelta(seconds=2))
HAND_ON = ClaimRelease(counts=False, pause=timedelta())
PUT_BACK = ClaimRelease(counts=False, pause=None)


def arrival(what=SIGNED, policy=POLICY):
    whole = to_message(what)["source"]
    if policy is None:
        return Arrival(what, None, source_record(what.source), whole, problem="not in force")
    return Arrival(what, policy.digest, source_record(what.source), whole)


def claim(database, *whats, process="ada", holds=(), alone=False, policy=POLICY):
    with database.transaction() as session:
        arrivals = [arrival(what, policy) for what in whats or [SIGNED]]
        return claims.claim(session, arrivals, process, lambda name: name in holds, alone=alone)


def standing(*arguments, **options):
    (found,) = claim(*arguments, **options)
    return found.status


def release(database, how, process="ada"):
    with database.transaction() as session:
        return claim_leases.release(session, process, [SIGNED.id], how)


def row(database, submission_id=SIGNED.id):
    with database.reading() as session:
        return session.get(SubmissionRow, submission_id)


def let_run_out(database):
    """Let fifteen seconds pass without a renewal."""
    past = utc_now() - timedelta(seconds=1)
    with database.transaction() as session:
        session.execute(update(SubmissionRow).values(claimed_until=past, publish_at=past))


def due(database):
    with database.transaction() as session:
        return [one.id for one in publishing.take_due(session, 10)]


def conflicts(database):
    with database.reading() as session:
        return session.scalars(select(SubmissionConflictRow).order_by(SubmissionConflictRow.id)).all()


def statements(database):
    seen = []
    event.listen(database.engine, "before_cursor_execute", lambda *call: seen.append(call[2]))
    return seen


def test_what_is_claimed_is_in_the_ledger_whole(database):
    assert claim(database) == [CLAIMED]
    found = row(database)
    assert (found.state, found.attempts, found.crashes) == ("accepted", 1, 0)
    assert (found.claimed_by, found.pending_source, found.fingerprint) == ("ada", WHOLE, fingerprint(SIGNED))
    assert "5ec7e7" not in str(found.source)
    assert found.publish_at > found.claimed_until
    assert timedelta() < found.claimed_until - utc_now() <= due_times.LEASE


def test_what_was_accepted_over_http_is_claimed_like_any_other(database):
    with database.transaction() as session:
        accepting.accept(session, SIGNED, source_record(SIGNED.source), WHOLE)
    assert claim(database) == [CLAIMED]


def test_of_ten_at_once_one_has_it_in_hand(database):
    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda n: standing(database, process=f"worker-{n}"), range(10)))
    assert Counter(found) == {ClaimStatus.CLAIMED: 1, ClaimStatus.IN_FLIGHT: 9}
    assert row(database).attempts == 1


def test_two_who_claim_the_same_ones_in_any_order_never_wait_for_each_other(database):
    whats = [submission(f"upload-{n}") for n in range(20)]
    with ThreadPoolExecutor(8) as pool:
        orders = [whats[:: (-1) ** n] for n in range(8)]
        found = list(pool.map(lambda n: claim(database, *orders[n], process=f"worker-{n}"), range(8)))
    assert Counter(one.status for batch in found for one in batch) == {
        ClaimStatus.CLAIMED: 20,
        ClaimStatus.IN_FLIGHT: 140,
    }


@pytest.mark.parametrize("count", [1, 64])
def test_the_statements_of_a_claim_do_not_depend_on_how_many_are_claimed(database, count):
    whats = [submission(f"upload-{n}") for n in range(count)]
    seen = statements(database)
    assert len(claim(database, *whats)) == count
    # Write what is new and lock the rest, look for decisions, ask the time, claim.
    new = [statement.split()[0] for statement in seen if not statement.startswith("BEGIN")]
    assert new == ["INSERT", "SELECT", "SELECT", "UPDATE"]
    let_run_out(database)
    seen.clear()
    others = [replace(what, source=LocalFile("other.png")) for what in whats]
    claim(database, *others, *whats, process="eve", alone=True)
    assert len([statement for statement in seen if not statement.startswith("BEGIN")]) == 6, seen


def test_a_holder_that_died_is_a_crash_and_the_next_attempt_is_made_alone(database):
    claim(database)
    let_run_out(database)
    assert due(database) == [SIGNED.id]
    assert claim(database, process="eve") == [ClaimResult(ClaimStatus.CRASHED, crashes=1)]
    assert (row(database).attempts, row(database).claimed_by) == (1, None)
    assert row(database).publish_at > utc_now(), "it has to come again should this process die too"
    assert standing(database, process="eve") is ClaimStatus.CRASHED
    assert claim(database, process="eve", alone=True) == [
        ClaimResult(ClaimStatus.CLAIMED, attempts=2, crashes=1)
    ]
    assert standing(database, process="joe", alone=True) is ClaimStatus.IN_FLIGHT


def test_whoever_is_alone_counts_the_crash_and_claims_at_once(database):
    claim(database)
    let_run_out(database)
    assert claim(database, process="eve", alone=True) == [
        ClaimResult(ClaimStatus.CLAIMED, attempts=2, crashes=1)
    ]


def test_after_three_deaths_nobody_is_given_it_again(database):
    for n in range(claim_status.MAX_CRASHES):
        assert standing(database, process=f"worker-{n}", alone=True) is ClaimStatus.CLAIMED
        let_run_out(database)
    assert claim(database, process="eve", alone=True) == [ClaimResult(ClaimStatus.POISON, crashes=3)]
    assert standing(database, process="joe") is ClaimStatus.POISON
    record(database, SIGNED)
    assert standing(database) is ClaimStatus.DECIDED
    # It would kill under any other version too.
    assert standing(database, AGAIN, policy=OTHER_VERSION) is ClaimStatus.POISON


def test_what_is_renewed_stays_in_hand(database):
    claim(database)
    let_run_out(database)
    with database.transaction() as session:
        assert claim_leases.renew(session, "eve", [SIGNED.id]) == set()
        assert claim_leases.renew(session, "ada", [SIGNED.id, "another"]) == {SIGNED.id}
    assert due(database) == []
    assert standing(database, process="eve") is ClaimStatus.IN_FLIGHT


def test_what_this_process_has_in_hand_never_runs_out_for_itself(database):
    claim(database)
    let_run_out(database)
    assert standing(database, holds={SIGNED.id}) is ClaimStatus.IN_FLIGHT
    assert row(database).crashes == 0


def test_a_claim_this_process_could_not_say_it_let_go_of_was_no_attempt(database):
    claim(database)
    assert claim(database) == [CLAIMED]


def test_a_failed_attempt_counts_and_no_copy_of_the_message_is_the_next_one_before_its_time(database):
    claim(database)
    assert release(database, SOON, process="eve") == set()
    assert release(database, SOON) == {SIGNED.id}
    assert (row(database).attempts, row(database).claimed_by) == (1, None)
    assert standing(database, process="eve") is ClaimStatus.IN_FLIGHT
    assert due(database) == []
    let_run_out(database)
    assert due(database) == [SIGNED.id]
    assert claim(database, process="eve") == [ClaimResult(ClaimStatus.CLAIMED, attempts=2)]


@pytest.mark.parametrize(("how", "comes_again"), [(HAND_ON, [SIGNED.id]), (PUT_BACK, [])])
def test_what_was_not_tried_does_not_count_and_can_be_claimed_at_once(database, how, comes_again):
    for _ in range(5):
        assert claim(database) == [CLAIMED]
        release(database, how)
    assert due(database) == comes_again
    assert row(database).attempts == 0


def test_what_failed_three_times_is_not_tried_a_fourth_time(database):
    for _ in range(claim_status.MAX_FAILURES):
        assert standing(database) is ClaimStatus.CLAIMED
        release(database, SOON)
        let_run_out(database)
    assert standing(database) is ClaimStatus.FAILING


def test_a_crash_is_no_failure(database):
    claim(database)
    let_run_out(database)
    for _ in range(claim_status.MAX_FAILURES):
        assert standing(database, process="eve", alone=True) is ClaimStatus.CLAIMED
        release(database, SOON, process="eve")
        let_run_out(database)
    assert standing(database, process="eve", alone=True) is ClaimStatus.FAILING


def test_a_process_that_only_stood_still_takes_the_crash_back(database):
    (mine,) = claim(database)
    let_run_out(database)
    (theirs,) = claim(database, process="eve", alone=True)
    for _ in range(2):
        with database.transaction() as session:
            claim_leases.take_back_crashes(session, {SIGNED.id: mine})
        assert (row(database).crashes, row(database).attempts) == (0, 1)
    with database.transaction() as session:
        claim_leases.take_back_crashes(session, {SIGNED.id: theirs})
    assert (row(database).crashes, row(database).claimed_by) == (0, "eve")


def test_a_decision_ends_the_claim_of_whoever_holds_it(database):
    claim(database)
    record(database, SIGNED)
    found = row(database)
    assert (found.state, found.pending_source, found.publish_at) == ("decided", None, None)
    assert (found.claimed_by, found.claimed_until) == (None, None)
    assert standing(database, process="eve") is ClaimStatus.DECIDED


def test_what_is_decided_stays_so_under_every_later_version(database):
    claim(database)
    record(database, SIGNED)
    assert standing(database, policy=OTHER_VERSION) is ClaimStatus.DECIDED
    assert record(database, SIGNED, policy=OTHER_VERSION) is None
    assert row(database).publish_at is None


def test_a_second_judgement_that_is_asked_for_is_made_once_and_can_be_brought_back_meanwhile(database):
    claim(database)
    record(database, SIGNED)
    assert claim(database, AGAIN, policy=OTHER_VERSION) == [CLAIMED]
    found = row(database)
    assert (found.state, found.pending_source, found.attempts) == ("decided", WHOLE, 1)
    let_run_out(database)
    with database.transaction() as session:
        (due,) = publishing.take_due(session, 10)
    assert (due.id, due.again) == (SIGNED.id, AGAIN.again)
    assert standing(database, process="eve", policy=OTHER_VERSION, alone=True) is ClaimStatus.CLAIMED
    assert record(database, SIGNED, policy=OTHER_VERSION) is not None
    assert (row(database).pending_source, row(database).publish_at, row(database).claimed_by) == (None,) * 3
    third = replace(OTHER_VERSION, background=("a person",))
    for copy in (SIGNED, AGAIN):
        assert standing(database, copy, policy=third) is ClaimStatus.DECIDED
    assert (
        standing(database, replace(AGAIN, again="a-third"), policy=third, alone=True) is ClaimStatus.CLAIMED
    )


def test_to_ask_again_under_the_same_version_is_answered_by_the_decision_there_is(database):
    claim(database)
    record(database, SIGNED)
    assert standing(database, AGAIN) is ClaimStatus.DECIDED
    # The request is done with, whatever is saved afterwards.
    assert standing(database, AGAIN, policy=OTHER_VERSION) is ClaimStatus.DECIDED


def test_a_request_over_http_is_taken_once(database):
    def ask():
        with database.transaction() as session:
            return accepting.ask_again(session, AGAIN, source_record(SIGNED.source), WHOLE)

    claim(database)
    assert not ask(), "it will be judged anyway"
    record(database, SIGNED)
    assert [ask(), ask()] == [True, False]
    with database.reading() as session:
        assert submissions.is_open(session, SIGNED.id)
    # Any copy of its message will do.
    assert claim(database, policy=OTHER_VERSION) == [CLAIMED]
    assert record(database, SIGNED, policy=OTHER_VERSION) is not None
    assert not ask()


def test_the_version_that_claimed_it_last_decides_it_alone(database):
    claim(database)
    let_run_out(database)
    claim(database, process="eve", policy=OTHER_VERSION, alone=True)
    assert record(database, SIGNED) is None, "the process that stood still comes too late"
    assert (row(database).state, row(database).claimed_by) == ("accepted", "eve")
    assert record(database, SIGNED, policy=OTHER_VERSION) is not None
    assert record(database, SIGNED) is None


@pytest.mark.parametrize("kind", [ClaimStatus.POISON, ClaimStatus.FAILING])
def test_what_is_given_up_is_decided_by_the_version_that_is_in_force(database, kind):
    claim(database)
    with database.transaction() as session:
        counts = {"crashes": 3} if kind is ClaimStatus.POISON else {"attempts": 3}
        session.execute(update(SubmissionRow).values(claimed_by=None, claimed_until=None, **counts))
    assert standing(database, policy=OTHER_VERSION) is kind
    assert row(database).publish_at > utc_now(), "should giving up fail"
    assert record(database, SIGNED, policy=OTHER_VERSION) is not None


def test_a_bare_message_waits_for_its_policy_and_is_then_to_be_refused(database):
    assert standing(database, policy=None) is ClaimStatus.NO_POLICY
    found = row(database)
    assert (found.state, found.error, found.claimed_by) == ("accepted", "not in force", None)
    assert timedelta() < found.publish_at - utc_now() <= due_times.POLICY_PAUSE
    assert timedelta() < found.refuse_at - utc_now() <= claims.POLICY_WAIT
    let_run_out(database)
    assert due(database) == [SIGNED.id]
    assert standing(database, policy=None) is ClaimStatus.NO_POLICY
    assert row(database).publish_at - utc_now() > due_times.POLICY_PAUSE, "the pauses grow"
    with database.transaction() as session:
        session.execute(update(SubmissionRow).values(refuse_at=utc_now()))
    assert standing(database, policy=None) is ClaimStatus.NO_POLICY_IN_TIME
    assert claim(database) == [CLAIMED], "it came after all"
    assert (row(database).error, row(database).refuse_at) == (None, None)


def test_what_http_accepted_waits_for_its_policy_as_long_as_it_takes(database):
    with database.transaction() as session:
        accepting.accept(session, SIGNED, source_record(SIGNED.source), WHOLE)
    assert standing(database, policy=None) is ClaimStatus.NO_POLICY
    assert row(database).refuse_at is None


def test_what_another_worker_judges_is_left_alone_by_one_without_the_policy(database):
    claim(database)
    assert standing(database, process="eve", policy=None) is ClaimStatus.IN_FLIGHT
    assert (row(database).claimed_by, row(database).error) == ("ada", None)


def test_what_a_worker_without_claims_decided_is_moved_on(database):
    record(database, SIGNED)
    past = utc_now() - timedelta(minutes=1)
    with database.transaction() as session:
        session.execute(update(SubmissionRow).values(state="accepted", pending_source=WHOLE, publish_at=past))
    assert standing(database) is ClaimStatus.DECIDED
    assert (row(database).state, row(database).pending_source) == ("decided", None)
    assert due(database) == []


def test_what_was_refused_is_taken_anew_whatever_it_was(database):
    with database.transaction() as session:
        outcomes.refuse(session, SIGNED.id, "field 'source' is missing")
    assert claim(database) == [CLAIMED]
    found = row(database)
    assert (found.state, found.error, found.pending_source) == ("accepted", None, WHOLE)
    assert found.reference == SIGNED.reference


def test_the_same_id_with_another_picture_is_recorded_once_and_takes_nothing(database):
    claim(database)
    other = replace(SIGNED, source=InlineBytes(b"abc"), reference="post-43")
    for process in ("ada", "eve", "joe"):
        assert standing(database, other, process=process) is ClaimStatus.CONFLICT
    (noted,) = conflicts(database)
    assert (noted.submission_id, noted.fingerprint) == (SIGNED.id, fingerprint(other))
    assert (noted.reference, noted.source) == ("post-43", None)
    assert (row(database).claimed_by, row(database).pending_source) == ("ada", WHOLE)
    assert standing(database, replace(SIGNED, policy="strict")) is ClaimStatus.CONFLICT
    record(database, SIGNED)
    assert standing(database, other) is ClaimStatus.CONFLICT
    assert [one.policy for one in conflicts(database)] == [None, "strict"]


def test_of_one_id_twice_in_a_message_the_first_counts(database):
    other = replace(SIGNED, source=LocalFile("other.png"))
    found = claim(database, SIGNED, submission("upload-2"), SIGNED, other, other)
    assert [one.status for one in found] == [
        ClaimStatus.CLAIMED,
        ClaimStatus.CLAIMED,
        ClaimStatus.IN_FLIGHT,
        ClaimStatus.CONFLICT,
        ClaimStatus.CONFLICT,
    ]
    assert [one.fingerprint for one in conflicts(database)] == [fingerprint(other)]


def test_what_comes_beside_a_strange_one_of_its_id_is_taken_all_the_same(database):
    with database.transaction() as session:
        accepting.accept(session, SIGNED, source_record(SIGNED.source), WHOLE)
    other = replace(SIGNED, source=LocalFile("other.png"))
    found = [one.status for one in claim(database, other, SIGNED)]
    assert found == [ClaimStatus.CONFLICT, ClaimStatus.CLAIMED]


def test_nothing_to_claim_is_no_mistake(database):
    with database.transaction() as session:
        assert claims.claim(session, [], "ada", lambda _: False) == []


def ask(database, what=AGAIN):
    with database.transaction() as session:
        return accepting.ask_again(session, what, source_record(what.source), WHOLE)


def published(database):
    """Return what is due as a worker reads it from the ledger's message."""
    with database.transaction() as session:
        session.execute(
            update(SubmissionRow).values(publish_at=utc_now() - timedelta(seconds=1), published_at=None)
        )
        (one,) = publishing.take_due(session, 10)
    assert (one.policy, one.sha256) == (None, None), "as the message said it"
    return from_message({name: getattr(one, name) for name in PendingSubmission.__dataclass_fields__})


@pytest.mark.parametrize("asked_over_http", [True, False])
def test_a_second_judgement_that_is_published_from_the_ledger_is_the_same_submission(
    database, asked_over_http
):
    claim(database)
    record(database, SIGNED)
    assert (row(database).policy, row(database).sha256) == (POLICY.name, FACTS.sha256)
    if asked_over_http:
        assert ask(database)
    else:
        claim(database, AGAIN, policy=OTHER_VERSION)
        release(database, SOON)
        let_run_out(database)
    come_back = published(database)
    let_run_out(database)
    assert standing(database, come_back, policy=OTHER_VERSION) is ClaimStatus.CLAIMED
    assert record(database, come_back, policy=OTHER_VERSION) is not None
    assert (row(database).policy, row(database).sha256) == (POLICY.name, FACTS.sha256)
    assert conflicts(database) == []


@pytest.mark.parametrize("crashes", [0, 1])
def test_a_second_judgement_inherits_no_failed_attempt(database, crashes):
    claim(database)
    record(database, SIGNED)
    with database.transaction() as session:
        tried = {"attempts": claim_status.MAX_FAILURES + crashes, "crashes": crashes, "published_again": 7}
        session.execute(update(SubmissionRow).values(**tried))
    # A policy that is missing, or a crash of before, has it wait before it is claimed.
    first = standing(database, AGAIN, policy=OTHER_VERSION if crashes else None)
    assert first is (ClaimStatus.CRASHED if crashes else ClaimStatus.NO_POLICY)
    assert (row(database).attempts, row(database).published_again) == (crashes, 0)
    (found,) = claim(database, AGAIN, policy=OTHER_VERSION, alone=True)
    assert found == ClaimResult(ClaimStatus.CLAIMED, attempts=crashes + 1, crashes=crashes)


def test_a_second_judgement_that_is_answered_by_a_decision_leaves_its_facts_in_the_row(database):
    claim(database)
    record(database, SIGNED)
    assert ask(database)
    assert standing(database, AGAIN) is ClaimStatus.DECIDED
    found = row(database)
    assert (found.policy, found.sha256, found.publish_at) == (POLICY.name, FACTS.sha256, None)


@pytest.mark.parametrize("is_claimed", [True, False])
def test_a_second_judgement_that_is_refused_ends_and_what_was_decided_stays(database, is_claimed):
    claim(database)
    record(database, SIGNED)
    ask(database)
    if is_claimed:
        claim(database, AGAIN, policy=OTHER_VERSION)
    with database.transaction() as session:
        assert not outcomes.refuse(session, SIGNED.id, "not readable")
        assert not outcomes.refuse(session, SIGNED.id, "another one", of="f" * 64)
        assert outcomes.refuse(session, SIGNED.id, "its source is not allowed", of=fingerprint(AGAIN))
    found = row(database)
    assert (found.state, found.error, found.publish_at, found.claimed_by) == ("decided", None, None, None)
    assert (found.policy, found.policy_digest, found.sha256) == (POLICY.name, POLICY.digest, FACTS.sha256)
    assert standing(database, AGAIN, policy=OTHER_VERSION) is ClaimStatus.DECIDED


@pytest.mark.parametrize("asked_over_http", [True, False])
def test_a_second_judgement_waits_for_its_policy_like_a_first_one(database, asked_over_http):
    claim(database)
    record(database, SIGNED)
    if asked_over_http:
        ask(database)
    assert standing(database, AGAIN, policy=None) is ClaimStatus.NO_POLICY
    assert (row(database).refuse_at is None) is asked_over_http
    with database.reading() as session:
        assert overview.backlog(session).without_policy.keys() == {""}
    with database.transaction() as session:
        has_limit = SubmissionRow.refuse_at.is_not(None)
        session.execute(update(SubmissionRow).where(has_limit).values(refuse_at=utc_now()))
    late = ClaimStatus.NO_POLICY if asked_over_http else ClaimStatus.NO_POLICY_IN_TIME
    assert standing(database, AGAIN, policy=None) is late


def make_old(database):
    old = utc_now() - timedelta(days=3)
    with database.transaction() as session:
        session.execute(update(SubmissionRow).values(created_at=old, updated_at=old))


def age(database, *arguments, **options):
    (found,) = claim(database, *arguments, **options)
    assert found.status is ClaimStatus.CLAIMED
    return found.age


@pytest.mark.parametrize("asked_over_http", [True, False])
def test_the_age_of_a_second_judgement_counts_from_its_request(database, asked_over_http):
    claim(database)
    record(database, SIGNED)
    make_old(database)
    if asked_over_http:
        ask(database)
    assert age(database, AGAIN, policy=OTHER_VERSION) < timedelta(minutes=1)
    make_old(database)
    release(database, HAND_ON)
    assert age(database, AGAIN, policy=OTHER_VERSION) >= timedelta(days=3)


def test_what_was_refused_and_is_taken_anew_is_as_old_as_that(database):
    with database.transaction() as session:
        outcomes.refuse(session, SIGNED.id, "field 'source' is missing")
    make_old(database)
    assert standing(database, policy=None) is ClaimStatus.NO_POLICY
    assert age(database) < timedelta(minutes=1)
