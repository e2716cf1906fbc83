"""Every event tells what is in force after it, under a sequence number that orders the submission's events."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from sqlalchemy import select, text, update
from support.review_desk import ADA, BOB, LEA, POLICY, Desk

from worker.domain.policies.policy import Action
from worker.domain.reviews.verdict import Answer
from worker.store.engine.tables import OutboxRow, SubmissionRow
from worker.store.reviews import in_force, review_search

ALLOW = Answer(Action.ALLOW)
BLOCK = Answer(Action.BLOCK, frozenset({"weapons"}))
PLATFORM = {"url": "https://platform.example/moderated"}
SAME_BYTES = "d" * 64


@pytest.fixture
def desk(emptied_database):
    return Desk(emptied_database, callback=PLATFORM)


def told(desk, submission_id):
    """Return the events of a submission, oldest first: (type, sequence, action, who decided)."""
    query = select(OutboxRow).where(OutboxRow.submission_id == submission_id).order_by(OutboxRow.id)
    with desk.database.reading() as session:
        return [(row.kind, row.sequence, row.action, row.decided_by) for row in session.scalars(query)]


def state(desk, submission_id="upload-1"):
    with desk.database.reading() as session:
        found = in_force.of(session, submission_id)
        view = text("SELECT action FROM current_decisions WHERE submission_id = :name")
        assert session.scalar(view, {"name": submission_id}) == found.action
    return found.sequence, found.action, found.decided_by


def answer(desk, reviewer, what, submission_id="upload-1"):
    """Claim whatever is open about a submission, and answer it; return the verdict's id."""
    with desk.database.reading() as session:
        page = review_search.page(session, review_search.ReviewFilters(), limit=99)
    (review,) = [one for one in page if one.decision.submission_id == submission_id]
    claim = desk.claim(reviewer, review_id=review.id, grouped=False)
    return desk.settle(reviewer, [claim.review.token], what)[0].verdict_id


def test_each_change_has_the_next_number_and_says_what_holds_since(desk):
    decision_id = desk.decide(weapons=0.8)
    first = answer(desk, ADA, BLOCK)
    desk.appeal(decision_id, "it is a toy")
    second = answer(desk, BOB, ALLOW)
    desk.reverse(LEA, second)
    desk.reverse(ADA, first, reason="the wrong picture")
    assert told(desk, "upload-1") == [
        ("decision.made", 1, "review", "policy"),
        ("verdict.made", 2, "block", "reviewer"),
        ("verdict.made", 3, "allow", "appeal"),
        ("appeal.answered", 4, "allow", "appeal"),
        ("verdict.reversed", 5, "block", "reviewer"),
        ("verdict.reversed", 6, "review", "policy"),
    ]
    assert state(desk) == (6, "review", "policy")


def test_an_inherited_verdict_comes_after_its_decision_and_both_say_what_holds(desk):
    desk.decide(weapons=0.8, sha256=SAME_BYTES)
    verdict_id = answer(desk, ADA, ALLOW)
    desk.decide(weapons=0.8, sha256=SAME_BYTES)
    assert told(desk, "upload-2") == [
        ("decision.made", 1, "allow", "inherited_verdict"),
        ("verdict.made", 2, "allow", "inherited_verdict"),
    ]
    desk.reverse(ADA, verdict_id)
    assert told(desk, "upload-2")[-1] == ("verdict.reversed", 3, "review", "policy")
    assert state(desk, "upload-2") == (3, "review", "policy")


def test_a_verdict_outlasts_a_decision_under_a_later_version(desk):
    desk.decide(weapons=0.8)
    answer(desk, ADA, ALLOW)
    changed = replace(POLICY, description="later")
    desk.decide(weapons=0.999, policy=changed, submission_id="upload-1")
    assert told(desk, "upload-1")[-1] == ("decision.made", 3, "allow", "reviewer")


def test_what_only_measures_changes_nothing(desk):
    desk.decide(twice=0.8)
    answer(desk, ADA, ALLOW)
    answer(desk, BOB, ALLOW)
    assert [event[1] for event in told(desk, "upload-1")] == [1, 2]
    assert state(desk) == (2, "allow", "reviewer")


def test_one_answer_to_several_reviews_counts_each_submission(desk):
    for _ in range(3):
        desk.decide(weapons=0.8, vector=[1.0, 0.0])
    claim = desk.claim(ADA)
    desk.settle(ADA, [one.token for one in (claim.review, *claim.alike)], ALLOW)
    assert [state(desk, f"upload-{n}") for n in (1, 2, 3)] == [(2, "allow", "reviewer")] * 3


def test_without_a_callback_the_numbers_are_counted_all_the_same(desk):
    quiet = Desk(desk.database)
    quiet.decide(weapons=0.8)
    answer(quiet, ADA, ALLOW)
    assert told(quiet, "upload-1") == []
    assert state(quiet) == (2, "allow", "reviewer")


def test_changes_at_the_same_time_have_different_numbers_and_the_last_says_what_holds(desk):
    """Two people answer two reviews of one submission at once: a decision's, and one under a later policy."""
    rounds = 6
    for n in range(1, rounds + 1):
        name = f"upload-{n}"
        desk.decide(weapons=0.8, submission_id=name)
        changed = replace(POLICY, description=f"version {n}")
        desk.decide(weapons=0.8, policy=changed, submission_id=name)
    with desk.database.reading() as session:
        page = review_search.page(session, review_search.ReviewFilters(), limit=99)
    open_reviews = {}
    for review in page:
        open_reviews.setdefault(review.decision.submission_id, []).append(review.id)
    for name, (one, other) in open_reviews.items():
        claims = [
            (ADA, desk.claim(ADA, review_id=one, grouped=False), ALLOW),
            (BOB, desk.claim(BOB, review_id=other, grouped=False), BLOCK),
        ]
        barrier = Barrier(2)

        def settle(claimed, barrier=barrier):
            reviewer, claim, what = claimed
            barrier.wait(30)
            desk.settle(reviewer, [claim.review.token], what)

        with ThreadPoolExecutor(2) as people:
            list(people.map(settle, claims))
        events = told(desk, name)
        assert sorted(event[1] for event in events) == [1, 2, 3, 4]
        last = max(events, key=lambda event: event[1])
        assert state(desk, name) == (4, last[2], last[3])


def test_an_event_of_the_version_before_says_what_holds_when_it_is_read(desk):
    desk.decide(weapons=0.8)
    with desk.database.transaction() as session:
        session.execute(update(OutboxRow).values(sequence=None, action=None, decided_by=None))
        session.execute(update(SubmissionRow).values(sequence=0))
    assert state(desk) == (0, "review", "policy")
    answer(desk, ADA, ALLOW)
    assert told(desk, "upload-1")[-1] == ("verdict.made", 1, "allow", "reviewer")
