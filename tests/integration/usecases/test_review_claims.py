"""Reviews are handed out one person at a time, on both databases, whoever else is claiming."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import func, select
from support.review_desk import ADA, BOB, CLEO, LEA, POLICY, POLICY_TEXT, Desk

from worker.domain.accounts.reviewer import Reviewer
from worker.domain.policies.policy import Action
from worker.domain.reviews.review import ClaimToken, ReviewKind
from worker.domain.reviews.verdict import Answer
from worker.errors import (
    InvalidVerdictError,
    ReviewConflictError,
    ReviewNotAllowedError,
    UnknownReviewError,
)
from worker.store.engine.column_types import utc_now
from worker.store.engine.tables import VerdictRow
from worker.store.reviews import audit_log, review_search, reviews
from worker.store.reviews.review_search import ReviewFilters

ALLOW = Answer(Action.ALLOW)
EXPIRED = timedelta(seconds=-1)


@pytest.fixture
def desk(emptied_database):
    return Desk(emptied_database)


def claimed(claim):
    return claim and claim.review.decision.submission_id


def test_twenty_people_get_every_review_and_none_twice(desk):
    for _ in range(60):
        desk.decide(weapons=0.8)
    together = threading.Barrier(20)

    def work(number):
        reviewer, done = Reviewer(f"person-{number}"), []
        together.wait()
        while claim := desk.claim(reviewer):
            done.append(claim.review.id)
            desk.settle(reviewer, [claim.review.token], ALLOW)
        return done

    with ThreadPoolExecutor(20) as pool:
        done = [review_id for part in pool.map(work, range(20)) for review_id in part]
    assert len(done) == 60
    assert len(set(done)) == 60
    assert desk.open() == []
    with desk.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(VerdictRow)) == 60


def test_one_review_is_claimed_by_one_of_twenty(desk):
    desk.decide(weapons=0.8)
    review_id = desk.claim(ADA).review.id
    desk.release(ADA, [ClaimToken(review_id, 1)])
    together = threading.Barrier(20)

    def work(number):
        together.wait()
        try:
            return desk.claim(Reviewer(f"person-{number}"), review_id=review_id)
        except ReviewConflictError:
            return None

    with ThreadPoolExecutor(20) as pool:
        (claim,) = filter(None, pool.map(work, range(20)))
    assert claim.review.fence == 2


def test_the_graver_the_more_urgent_and_the_less_certain_come_first(desk):
    for scores in ({"alcohol": 0.9}, {"weapons": 0.9}, {"weapons": 0.51}, {"gore": 0.9}, {"weapons": 0.6}):
        desk.decide(**scores)
    desk.decide(action=Action.REVIEW)
    order = [claimed(desk.claim(ADA)) for _ in range(6)]
    assert order == ["upload-4", "upload-3", "upload-2", "upload-5", "upload-1", "upload-6"]
    assert desk.claim(ADA) is None


def test_a_queue_a_label_a_kind_and_a_severity_can_be_asked_for(desk):
    desk.decide(weapons=0.8)
    desk.decide(gore=0.8)
    desk.decide(drawn=True)
    for filters, found in [
        (ReviewFilters(queue="urgent"), ["upload-2"]),
        (ReviewFilters(queue="default"), ["upload-1", "upload-3"]),
        (ReviewFilters(label="weapons"), ["upload-1"]),
        (ReviewFilters(kind=ReviewKind.AUDIT), ["upload-3"]),
        (ReviewFilters(severity=5), ["upload-2"]),
        (ReviewFilters(policy="other"), []),
    ]:
        with desk.database.reading() as session:
            page = review_search.page(session, filters, limit=9)
        assert [review.decision.submission_id for review in page] == found
        claim = desk.claim(ADA, filters)
        assert claimed(claim) == (found[0] if found else None)
        if claim:
            desk.release(ADA, [claim.review.token])


def test_the_queue_is_paged_without_gaps(desk):
    for n in range(7):
        desk.decide(weapons=0.6 if n % 2 else 0.8)
    seen, after = [], None
    with desk.database.reading() as session:
        while page := review_search.page(session, ReviewFilters(), after=after, limit=3):
            seen += [review.id for review in page]
            after = (page[-1].priority, page[-1].id)
    assert len(seen) == len(set(seen)) == 7


def test_an_expired_lease_goes_to_another_and_the_late_verdict_says_who_was_first(desk):
    desk.decide(weapons=0.8)
    desk.lease = EXPIRED
    late = desk.claim(ADA).review
    desk.lease = timedelta(minutes=5)
    taken = desk.claim(BOB).review
    assert (taken.id, taken.fence) == (late.id, late.fence + 1)
    with pytest.raises(ReviewConflictError, match=rf"review {late.id} is claimed by bob since 20\d\d-"):
        desk.settle(ADA, [late.token], ALLOW)
    desk.settle(BOB, [taken.token], Answer(Action.BLOCK, frozenset({"weapons"})))
    with pytest.raises(ReviewConflictError, match=rf"review {late.id} was settled by bob at 20.* UTC: block"):
        desk.settle(ADA, [late.token], ALLOW)


def test_a_lease_that_ran_out_holds_while_nobody_else_came(desk):
    desk.decide(weapons=0.8)
    desk.lease = EXPIRED
    review = desk.claim(ADA).review
    assert len(desk.settle(ADA, [review.token], ALLOW)) == 1


def test_the_same_verdict_sent_twice_is_one_and_another_is_a_conflict(desk):
    desk.decide(weapons=0.8)
    token = desk.claim(ADA).review.token
    assert desk.settle(ADA, [token], ALLOW) == desk.settle(ADA, [token], ALLOW)
    with pytest.raises(ReviewConflictError, match="settled by ada"):
        desk.settle(ADA, [token], Answer(Action.BLOCK))


def test_a_renewed_claim_stays(desk):
    desk.decide(weapons=0.8)
    desk.lease = timedelta(seconds=1)
    review = desk.claim(ADA).review
    desk.lease = timedelta(hours=1)
    assert desk.renew(ADA, [review.token]) > review.claimed_until + timedelta(minutes=50)
    with pytest.raises(ReviewConflictError):
        desk.renew(BOB, [review.token])
    assert desk.claim(ADA, review_id=review.id).review.token == review.token


def test_what_is_released_is_free_at_once_and_its_token_void(desk):
    desk.decide(weapons=0.8)
    token = desk.claim(ADA).review.token
    desk.release(BOB, [token])
    assert desk.claim(BOB) is None
    desk.release(ADA, [token])
    with pytest.raises(ReviewConflictError, match="is not claimed"):
        desk.settle(ADA, [token], ALLOW)
    assert desk.claim(BOB).review.fence == token.fence + 1


def test_what_is_looked_up_ahead_comes_to_nobody_who_has_gone_on(desk):
    for _ in range(3):
        desk.decide(weapons=0.8)
    first = desk.claim(ADA).review
    ahead = desk.claim(ADA, while_holding=[first.id]).review

    desk.release(ADA, [first.token, ahead.token])

    assert desk.claim(ADA, while_holding=[first.id]) is None
    with desk.database.reading() as session:
        assert reviews.held_by(session, ADA.name, utc_now()) == []


def test_what_is_skipped_comes_last_for_this_person_alone(desk):
    desk.decide(weapons=0.8)
    desk.decide(alcohol=0.8)
    first = desk.claim(ADA).review
    with pytest.raises(InvalidVerdictError, match="without a reason"):
        desk.skip(ADA, [first.token], " ")
    desk.skip(ADA, [first.token], "I know the person")
    assert claimed(desk.claim(ADA)) == "upload-2"
    assert desk.claim(ADA).review.id == first.id
    desk.release(ADA, [ClaimToken(first.id, 2)])
    assert desk.claim(BOB).review.id == first.id


def test_only_a_lead_gets_what_is_escalated(desk):
    desk.decide(weapons=0.8)
    review = desk.claim(ADA).review
    desk.escalate(ADA, [review.token], "is this art?")
    assert desk.claim(BOB) is None
    with pytest.raises(ReviewNotAllowedError, match=f"review {review.id} is for a lead"):
        desk.claim(BOB, review_id=review.id)
    found = desk.claim(LEA).review
    assert (found.id, found.escalation) == (review.id, "is this art?")


def test_nobody_sees_a_label_they_opted_out_of(desk):
    desk.decide(gore=0.8)
    desk.decide(alcohol=0.8)
    squeamish = replace(ADA, opt_outs=frozenset({"gore"}))
    assert claimed(desk.claim(squeamish)) == "upload-2"
    assert desk.claim(squeamish) is None
    with desk.database.reading() as session:
        (review,) = [
            r for r in review_search.page(session, ReviewFilters(), limit=9) if "gore" in r.decision.flagged
        ]
    with pytest.raises(ReviewNotAllowedError, match="opted out"):
        desk.claim(squeamish, review_id=review.id)


def test_a_label_that_a_person_found_counts_for_opt_outs_too(desk):
    decision_id = desk.decide(weapons=0.995)
    desk.appeal(decision_id)
    desk.answer(BOB, Answer(Action.BLOCK, frozenset({"gore"}), "blood on it"))
    desk.decide(alcohol=0.8, submission_id="upload-1", policy=OTHER_VERSION, text=OTHER_TEXT)
    squeamish = replace(ADA, opt_outs=frozenset({"gore"}))
    assert desk.claim(squeamish) is None
    assert claimed(desk.claim(ADA)) == "upload-1"


OTHER_TEXT = POLICY_TEXT.replace("an everyday scene", "a scene")
OTHER_VERSION = replace(POLICY, background=("a scene",))


def test_the_daily_cap_leaves_what_is_mild(desk):
    for _ in range(3):
        desk.decide(weapons=0.8)
    desk.decide(alcohol=0.8)
    careful = replace(ADA, severe_per_day=2)
    assert [claimed(desk.claim(careful)) for _ in range(3)] == ["upload-1", "upload-2", "upload-4"]
    assert desk.claim(careful) is None
    with desk.database.reading() as session:
        (severe,) = [r for r in review_search.page(session, ReviewFilters(), limit=9) if r.claimed_by is None]
    with pytest.raises(ReviewNotAllowedError, match="ada has seen 2 severe pictures today"):
        desk.claim(careful, review_id=severe.id)
    assert claimed(desk.claim(BOB)) == "upload-3"


def test_the_cap_holds_when_one_person_claims_in_many_tabs(desk):
    for _ in range(10):
        desk.decide(weapons=0.8)
    careful = replace(ADA, severe_per_day=3)
    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda _: desk.claim(careful), range(10)))
    assert sum(claim is not None for claim in found) == 3


def test_what_looks_nearly_the_same_is_claimed_together(desk):
    close, far = [1.0, 0.05, 0.0], [0.6, 0.8, 0.0]
    for vector in ([1.0, 0.0, 0.0], close, far, close):
        desk.decide(weapons=0.8, vector=vector)
    # As alike, but under another policy, in another queue, or in other hands.
    desk.decide(weapons=0.8, vector=close, policy=OTHER_VERSION, text=OTHER_TEXT)
    desk.decide(gore=0.8, vector=close)
    elsewhere = desk.decide(weapons=0.8, vector=close)
    with desk.database.reading() as session:
        (other,) = [
            r for r in review_search.page(session, ReviewFilters(), limit=9) if r.decision.id == elsewhere
        ]
    desk.claim(BOB, review_id=other.id, grouped=False)
    claim = desk.claim(ADA, ReviewFilters(queue="default"))
    assert claimed(claim) == "upload-1"
    assert {review.decision.submission_id for review in claim.alike} == {"upload-2", "upload-4"}
    assert all(review.claimed_by == "ada" for review in claim.alike)
    with desk.database.reading() as session:
        assert len(reviews.held_by(session, "ada", claim.review.created_at)) == 3


def test_a_group_is_no_larger_than_the_cap_leaves(desk):
    for _ in range(5):
        desk.decide(weapons=0.8, vector=[1.0, 0.0])
    claim = desk.claim(replace(ADA, severe_per_day=3))
    assert len(claim.alike) == 2
    with desk.database.reading() as session:
        assert audit_log.severe_shown(session, "ada", claim.review.created_at) == 3


def test_groups_of_many_people_never_overlap(desk):
    random = np.random.default_rng(7)
    centres = np.eye(8)
    for n in range(80):
        desk.decide(weapons=0.8, vector=list(centres[n % 8] + random.normal(0, 0.001, 8)))
    together = threading.Barrier(8)

    def work(number):
        together.wait()
        found = []
        while claim := desk.claim(Reviewer(f"person-{number}")):
            found += [claim.review.id, *(review.id for review in claim.alike)]
        return found

    with ThreadPoolExecutor(8) as pool:
        found = [review_id for part in pool.map(work, range(8)) for review_id in part]
    assert len(found) == len(set(found)) == 80


def test_what_is_not_there_is_said_to_be(desk):
    with pytest.raises(UnknownReviewError, match="there is no review 7"):
        desk.claim(ADA, review_id=7)
    with pytest.raises(UnknownReviewError, match="there is no review 7"):
        desk.settle(ADA, [ClaimToken(7, 1)], ALLOW)
    assert desk.claim(CLEO) is None
