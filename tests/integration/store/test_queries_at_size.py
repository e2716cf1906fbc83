"""Every list, count, look-up and claim visits a bounded number of rows, on both databases, at size.

What is counted are rows, not seconds: `support/visited.py`. A whole table has `DECISIONS` rows, so that a bound
well below says that an index leads to what is returned.
"""

from datetime import timedelta

import pytest
from sqlalchemy import text
from support.filled import DEFAULT, MEME, MODEL, STICKERS, fill
from support.statements import statements
from support.visited import visited

from worker.domain.accounts.reviewer import Reviewer
from worker.domain.policies.policy import Action
from worker.domain.reviews.review import ReviewKind
from worker.domain.reviews.verdict import Answer
from worker.errors import UsageError
from worker.store.decisions import decision_search, decisions, embeddings, shadow_decisions
from worker.store.decisions.decision_search import Cursor, Filters
from worker.store.engine import counting
from worker.store.engine.column_types import utc_now
from worker.store.notifications import deliveries, outbox
from worker.store.notifications.outbox import EventState
from worker.store.operations import archive, overview
from worker.store.operations.archive import Span
from worker.store.policies import policy_states
from worker.store.reviews import (
    audit_log,
    golden_items,
    review_choice,
    review_counts,
    review_search,
    review_statistics,
    reviews,
    verdicts,
)
from worker.store.reviews.review_choice import Claimant
from worker.store.reviews.review_search import ReviewFilters
from worker.store.submissions import publishing, submissions
from worker.usecases.moderation.inherit_verdict import Heir, InheritVerdict
from worker.usecases.operations import tidy_up
from worker.usecases.operations.tidy_up import TidyUp
from worker.usecases.reviews.claim_review import ClaimReview
from worker.usecases.reviews.last_verdict import LastVerdict
from worker.usecases.reviews.look_at_review import LookAtReview
from worker.usecases.reviews.reverse_verdict import ReverseVerdict
from worker.usecases.reviews.settle_review import SettleReview
from worker.usecases.reviews.submission_history import SubmissionHistory
from worker.usecases.submissions.find_submission import FindSubmission

DECISIONS = 30_000
#: Rows that one search looks at, and that one count counts, in these tests.
BOUND = 300
#: A page has 51 rows, each with two scores, a submission and a decision.
FEW = 3_000
PAGE = 50
DAY = timedelta(days=1)
ADA, BOB = Reviewer("ada"), Reviewer("person-1")
PICKY = Reviewer("picky", opt_outs=frozenset({"drinks"}))
NOW = utc_now()
#: In the middle of everything.
HALFWAY = Cursor(NOW - timedelta(days=15), DECISIONS // 2)
OLD = {"since": NOW - 25 * DAY, "until": NOW - 24 * DAY}


@pytest.fixture(scope="module")
def filled(kept_database):
    fill(kept_database, DECISIONS)
    return kept_database


@pytest.fixture(autouse=True)
def _small_bounds(monkeypatch):
    for module, name in (
        (decision_search, "WINDOW"),
        (review_search, "WINDOW"),
        (review_counts, "MOST"),
        (decisions, "MOST"),
        (outbox, "MOST"),
    ):
        monkeypatch.setattr(module, name, BOUND)
    assert counting.MOST > BOUND


DECISION_LISTS = {
    "all": (Filters(), None),
    "all, deep": (Filters(), HALFWAY),
    "blocks": (Filters(action=Action.BLOCK), None),
    "blocks, deep": (Filters(action=Action.BLOCK), HALFWAY),
    "a policy": (Filters(policy="default"), None),
    "a policy of long ago": (Filters(policy="stickers"), None),
    "no such policy": (Filters(policy="nosuch"), None),
    "blocks of a policy": (Filters(action=Action.BLOCK, policy="stickers"), None),
    "blocks of a policy, deep": (Filters(action=Action.BLOCK, policy="default"), HALFWAY),
    "blocks of no such policy": (Filters(action=Action.BLOCK, policy="nosuch"), HALFWAY),
    "a day of long ago": (Filters(**OLD), None),
    "a day of long ago, of a policy": (Filters(policy="default", action=Action.REVIEW, **OLD), None),
    "a label": (Filters(label="weapons"), None),
    "a label, deep": (Filters(label="weapons"), HALFWAY),
    "a label of long ago": (Filters(label="drinks"), None),
    "a label, on a day of long ago": (Filters(label="weapons", **OLD), None),
    "a label that is never allowed": (Filters(label="weapons", action=Action.ALLOW), None),
    "a label of no such policy": (Filters(label="weapons", policy="nosuch"), HALFWAY),
    "no such label": (Filters(label="nosuch"), None),
    "a reference": (Filters(reference="post-77"), None),
    "a reference, of an action": (Filters(reference="post-77", action=Action.REVIEW), None),
    "no reference": (Filters(reference=""), None),
    "no reference, deep": (Filters(reference=""), Cursor(HALFWAY.at, 15_000, "upload-15000")),
    "no reference, no such label": (Filters(reference="", label="nosuch"), None),
    "no reference, of long ago": (Filters(reference="", policy="stickers"), None),
    "no such reference": (Filters(reference="nosuch"), None),
}
REVIEW_LISTS = {
    "all": (ReviewFilters(), None),
    "all, deep": (ReviewFilters(), (3.25, 15_001)),
    "a queue": (ReviewFilters(queue="urgent"), None),
    "a queue, deep": (ReviewFilters(queue="default"), (3.0, 20_001)),
    "the last queue": (ReviewFilters(queue="spam"), None),
    "no such queue": (ReviewFilters(queue="nosuch"), (3.25, 15_001)),
    "appeals": (ReviewFilters(kind=ReviewKind.APPEAL), None),
    "appeals of a queue": (ReviewFilters(kind=ReviewKind.APPEAL, queue="spam"), None),
    "first looks": (ReviewFilters(kind=ReviewKind.DECISION), None),
    "first looks, deep": (ReviewFilters(kind=ReviewKind.DECISION), (3.25, 15_001)),
    "first looks of a queue": (ReviewFilters(kind=ReviewKind.DECISION, queue="spam"), None),
    "audits": (ReviewFilters(kind=ReviewKind.AUDIT), None),
    "second looks": (ReviewFilters(kind=ReviewKind.SECOND), (3.25, 15_001)),
    "severe": (ReviewFilters(severity=5), None),
    "a label": (ReviewFilters(label="weapons"), None),
    "a label, the least urgent": (ReviewFilters(label="drinks"), None),
    "no such label": (ReviewFilters(label="nosuch"), None),
    "a policy of long ago": (ReviewFilters(policy="stickers"), None),
    "no such policy": (ReviewFilters(policy="nosuch"), (3.25, 15_001)),
    "before everything": (ReviewFilters(until=NOW - 60 * DAY), None),
}


@pytest.mark.parametrize("which", DECISION_LISTS)
def test_a_list_of_decisions_reads_about_what_it_returns(filled, which):
    filters, after = DECISION_LISTS[which]
    with visited(filled) as seen, filled.reading() as session:
        found = decision_search.search(session, filters, after=after, limit=PAGE)
    assert seen.rows <= FEW, str(seen)
    assert len(found.decisions) <= PAGE


@pytest.mark.parametrize("which", REVIEW_LISTS)
def test_a_list_of_reviews_reads_about_what_it_returns(filled, which):
    filters, after = REVIEW_LISTS[which]
    with visited(filled) as seen, filled.reading() as session:
        found = review_search.search(session, filters, after=after, limit=PAGE)
    assert seen.rows <= FEW, str(seen)
    assert len(found.reviews) <= PAGE


LOOK_UPS = {
    "reviews that a person has claimed": lambda s: reviews.held_by(s, "ada", NOW),
    "the next review": lambda s: review_choice.next_for(s, Claimant(BOB, None), ReviewFilters(), NOW),
    "the next of the last queue": lambda s: review_choice.next_for(
        s, Claimant(BOB, None), ReviewFilters(queue="spam"), NOW
    ),
    "the next of no such label": lambda s: review_choice.next_for(
        s, Claimant(BOB, None), ReviewFilters(label="nosuch"), NOW
    ),
    "the next severe one": lambda s: review_choice.next_for(
        s, Claimant(BOB, None), ReviewFilters(severity=5), NOW
    ),
    "the next for whom the cap is reached": lambda s: review_choice.next_for(
        s, Claimant(BOB, 0), ReviewFilters(), NOW
    ),
    "the next for who opted out": lambda s: review_choice.next_for(
        s, Claimant(PICKY, None), ReviewFilters(), NOW
    ),
    "when the review before one was asked": lambda s: review_choice.asked_before(s, reviews.find(s, 25_006)),
    "a golden item": lambda s: review_choice.golden_for(s, Claimant(BOB, None), ReviewFilters()),
    "golden items": golden_items.everything,
    "how many reviews wait, at the desk": lambda s: review_counts.waiting(s, NOW),
    "decisions in all": decisions.count_by_action,
    "events in all": outbox.count_by_state,
    "how late events are": outbox.lag,
    "whether an event is due": deliveries.is_due,
    "events of a submission": lambda s: outbox.newest(s, submission_id="upload-7", limit=PAGE),
    "pending events": lambda s: outbox.newest(s, state=EventState.PENDING, limit=PAGE),
    "events that were given up": lambda s: outbox.newest(s, state=EventState.GIVEN_UP, limit=PAGE),
    "blocks within the hour": lambda s: decisions.automatic_blocks(s, "default", NOW - DAY),
    "refused submissions": lambda s: submissions.refused(s, 5),
    "a submission by its id": lambda s: submissions.named(s, "upload-7"),
    "a submission by no such reference": lambda s: submissions.named(s, "nosuch"),
    "events to send while a receiver hangs": lambda s: deliveries.take(
        s, limit=16, in_flight={"hangs.example": 8}, at_once=8, lease=DAY
    ),
    "events to send": lambda s: deliveries.take(s, limit=16, in_flight={}, at_once=8, lease=DAY),
    "whether a submission is due": publishing.is_any_due,
    "submissions that are due": lambda s: publishing.take_due(s, 64),
    "severe pictures of today": lambda s: audit_log.severe_shown(s, "person-1", NOW - timedelta(hours=12)),
    "what was done about a submission": lambda s: audit_log.of_submission(s, "upload-7"),
    "when a review was claimed": lambda s: audit_log.claimed_at(s, 10_001),
    "embeddings of another model": lambda s: embeddings.newest(s, "f" * 64, 5_000),
    "the newest embeddings": lambda s: embeddings.newest(s, MODEL, PAGE),
    "which shadows there were": shadow_decisions.names,
    "verdicts of one look": lambda s: verdicts.given_with(s, "abcdef"),
    "what the meme inherits": lambda s: verdicts.to_inherit(s, [(MEME, DEFAULT), (MEME, STICKERS)]),
    "what fresh pictures inherit": lambda s: verdicts.to_inherit(
        s, [(f"{n:064x}", DEFAULT) for n in range(300)]
    ),
    "the meme inherits": lambda s: InheritVerdict()(s, [Heir("upload-20", 20, MEME, DEFAULT)]),
    "what waits": overview.backlog,
    "what happened": overview.happenings,
    "policies": policy_states.all_states,
    "decisions of a day": lambda s: archive.count(s, Span(NOW - DAY)),
    "the archive of a day": lambda s: list(archive.stream(s, Span(NOW - DAY, "default"), MODEL)),
    "answers of a day": lambda s: review_statistics.throughput(s, NOW - DAY),
    "labels of a day": lambda s: review_statistics.labels(s, NOW - DAY),
    "second looks of a day": lambda s: review_statistics.second_looks(s, NOW - DAY),
    "golden answers of a day": lambda s: review_statistics.golden_answers(s, NOW - DAY),
}
#: What visits more: a day has a thousand decisions, each found with its embedding and verdicts. What waits is
#: counted: 5,000 reviews and 3,000 events.
MORE = {
    "the archive of a day": 8_000,
    "decisions of a day": 4_000,
    "what waits": 16_000,
    "how late events are": 4_000,
}


@pytest.mark.parametrize("what", LOOK_UPS)
def test_a_look_up_reads_about_what_it_returns(filled, what):
    with visited(filled) as seen, filled.transaction() as session:
        LOOK_UPS[what](session)
        session.rollback()
    assert seen.rows <= MORE.get(what, FEW), str(seen)


def test_a_reference_that_many_have_is_refused_after_a_few(filled):
    with (
        visited(filled) as seen,
        pytest.raises(UsageError, match="20 submissions"),
        filled.reading() as session,
    ):
        submissions.named(session, "")
    assert seen.rows <= FEW, str(seen)


def test_a_claim_and_a_verdict_visit_few_rows(filled):
    claim = ClaimReview(filled, timedelta(minutes=5), group_cosine=0.98, golden_share=0.5, chance=lambda: 0.1)
    look, settle = LookAtReview(filled), SettleReview(filled)
    with visited(filled) as seen:
        claimed = claim(BOB, ReviewFilters(queue="urgent"), grouped=False)
        look([claimed.review])
        given = settle(BOB, [claimed.review.token], Answer(Action.ALLOW, frozenset()))
        assert LastVerdict(filled)(BOB.name).id == given[0].verdict_id
    assert seen.rows <= FEW, str(seen)
    with visited(filled) as seen:
        ReverseVerdict(filled, timedelta(minutes=5))(BOB, given[0].verdict_id)
    assert seen.rows <= FEW, str(seen)


def test_the_last_verdict_is_found_behind_many_that_are_inherited(filled):
    with visited(filled) as seen:
        assert LastVerdict(filled)("ada") is None
    assert seen.rows <= FEW, str(seen)


@pytest.mark.parametrize("look", [FindSubmission, SubmissionHistory])
def test_a_submission_is_found_among_many(filled, look):
    with visited(filled) as seen:
        assert look(filled)("upload-20")
    assert seen.rows <= FEW, str(seen)


def test_the_desk_counts_no_more_than_the_most_urgent(filled):
    with filled.reading() as session:
        found = review_counts.waiting(session, NOW)
    assert (found.total, found.is_capped) == (BOUND, True)
    assert set(found.queues) == {"default", "spam", "urgent"}
    assert found.labels == {"weapons": BOUND}


def test_tidying_up_looks_at_each_kept_source_and_writes_nothing_where_all_are_needed(filled, monkeypatch):
    # Of a small table PostgreSQL reads all sooner than it looks up 500 rows.
    monkeypatch.setattr(tidy_up, "CHUNK", 50)
    with filled.transaction() as session:
        session.execute(
            text(
                "UPDATE submissions SET review_source = NULL WHERE id NOT IN (SELECT d.submission_id "
                "FROM reviews r JOIN decisions d ON d.id = r.decision_id WHERE r.state = 'open')"
            )
        )
        kept = session.scalar(text("SELECT count(*) FROM submissions WHERE review_source IS NOT NULL"))
    forget = TidyUp(filled, timedelta(days=60))
    with visited(filled) as seen:
        forget()
    assert kept > DECISIONS / 10
    assert seen.rows <= 10 * kept, str(seen)
    with statements(filled) as said:
        forget()
    assert not [one for one in said if not one.startswith(("SELECT", "SAVEPOINT"))], said
