"""The pages of a search hold everything that is meant, once and in order, however little each looks at."""

from datetime import timedelta

import pytest
from sqlalchemy import bindparam, text
from support.filled import DEFAULT, fill

from worker.domain.policies.policy import Action
from worker.domain.reviews.review import ReviewKind
from worker.store.decisions import decision_search
from worker.store.decisions.decision_search import Filters
from worker.store.engine.column_types import UtcDateTime, utc_now
from worker.store.engine.tables import PolicyVersionRow
from worker.store.reviews import review_search
from worker.store.reviews.review_search import ReviewFilters

DECISIONS = 600
#: What one search looks at, and what a page holds at most.
WINDOW, PAGE = 40, 7
NOW = utc_now()
TYPES = {"since": UtcDateTime(), "until": UtcDateTime()}
OLD = {"since": NOW - timedelta(days=25), "until": NOW - timedelta(days=20)}
DECISION_FILTERS = [
    Filters(action=Action.BLOCK),
    Filters(policy="stickers"),
    Filters(policy="default", action=Action.REVIEW),
    Filters(policy="default", action=Action.REVIEW, **OLD),
    Filters(**OLD),
    Filters(label="weapons"),
    Filters(label="drinks"),
    Filters(label="weapons", policy="stickers"),
    Filters(label="weapons", action=Action.ALLOW),
    Filters(label="weapons", **OLD),
    Filters(reference=""),
    Filters(reference="", label="weapons"),
    Filters(reference="", policy="stickers"),
    Filters(reference="", **OLD),
    Filters(reference="post-77"),
    Filters(reference="nosuch"),
]
REVIEW_FILTERS = [
    ReviewFilters(),
    ReviewFilters(queue="urgent"),
    ReviewFilters(queue="spam", kind=ReviewKind.DECISION),
    ReviewFilters(kind=ReviewKind.APPEAL),
    ReviewFilters(kind=ReviewKind.DECISION),
    ReviewFilters(kind=ReviewKind.DECISION, queue="urgent", label="weapons"),
    ReviewFilters(kind=ReviewKind.AUDIT),
    ReviewFilters(kind=ReviewKind.QUARANTINE),
    ReviewFilters(kind=ReviewKind.SECOND),
    ReviewFilters(severity=4),
    ReviewFilters(label="drinks"),
    ReviewFilters(label="weapons", queue="default"),
    ReviewFilters(policy="stickers"),
    ReviewFilters(until=NOW - timedelta(days=20)),
]


@pytest.fixture(scope="module")
def filled(kept_database):
    fill(kept_database, DECISIONS)
    return kept_database


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch):
    monkeypatch.setattr(decision_search, "WINDOW", WINDOW)
    monkeypatch.setattr(review_search, "WINDOW", WINDOW)


def in_full(session, search, filters):
    """Return the pages of a search that is continued to its end."""
    pages = [search(session, filters, limit=PAGE)]
    while pages[-1].next is not None:
        pages.append(search(session, filters, after=pages[-1].next, limit=PAGE))
    return pages


@pytest.mark.parametrize("filters", DECISION_FILTERS, ids=range(len(DECISION_FILTERS)))
def test_the_pages_of_decisions_hold_everything_once_and_in_order(filled, filters):
    with filled.reading() as session:
        ids = [d.id for page in in_full(session, decision_search.search, filters) for d in page.decisions]
        assert ids == expected_decisions(session, filters)


def expected_decisions(session, filters):
    conditions = {
        "action": "d.action = :action",
        "policy": "d.policy = :policy",
        "since": "d.created_at >= :since",
        "until": "d.created_at < :until",
        "reference": "s.reference = :reference",
        "label": "d.id IN (SELECT decision_id FROM label_scores WHERE label = :label AND flagged)",
    }
    asked = {name: getattr(filters, name) for name in conditions if getattr(filters, name) is not None}
    query = text(
        "SELECT d.id FROM decisions d JOIN submissions s ON s.id = d.submission_id WHERE "
        + " AND ".join(["true", *(conditions[name] for name in asked)])
        + " ORDER BY d.created_at DESC, d.id DESC"
    ).bindparams(*(bindparam(name, value, type_=TYPES.get(name)) for name, value in asked.items()))
    return list(session.scalars(query))


@pytest.mark.parametrize("filters", REVIEW_FILTERS, ids=range(len(REVIEW_FILTERS)))
def test_the_pages_of_reviews_hold_everything_once_and_in_order(filled, filters):
    with filled.reading() as session:
        pages = in_full(session, review_search.search, filters)
        found = [review for page in pages for review in page.reviews]
        every = in_full(session, review_search.search, ReviewFilters())
    meant = [one for page in every for one in page.reviews if is_meant(one, filters)]
    assert [one.id for one in found] == [one.id for one in meant]
    assert [one.id for one in found] == [one.id for one in sorted(found, key=lambda r: (-r.priority, r.id))]


def is_meant(review, filters):
    decision = review.decision
    return (
        (filters.queue is None or review.queue == filters.queue)
        and (filters.kind is None or filters.kind in {review.blinded.kind, review.kind})
        and (filters.label is None or filters.label in decision.flagged)
        and (filters.policy is None or decision.policy == filters.policy)
        and (filters.severity is None or decision.severity >= filters.severity)
        and (filters.until is None or review.created_at < filters.until)
    )


def test_several_decisions_on_one_submission_are_shared_among_pages(filled, monkeypatch):
    """By reference the newest upload comes first, with its newest decision; nothing is lost between pages."""
    monkeypatch.setattr(decision_search, "WINDOW", 3)
    with filled.transaction() as session:
        session.add_all(
            PolicyVersionRow(digest=f"{DEFAULT}{name}", name="stickers", text="x") for name in ("a", "b", "c")
        )
        session.flush()
        session.execute(
            text(
                "INSERT INTO decisions (submission_id, policy, policy_digest, model, model_digest, action, labels, "
                "severity, reason, held_back, created_at) SELECT submission_id, 'stickers', policy_digest || name, "
                "model, model_digest, action, labels, severity, reason, held_back, created_at FROM decisions, "
                "(SELECT 'a' AS name UNION ALL SELECT 'b' UNION ALL SELECT 'c') AS names WHERE id IN (580, 590)"
            )
        )
        found = [
            decision.id
            for page in in_full(session, decision_search.search, Filters(reference="", policy="stickers"))
            for decision in page.decisions
        ]
        assert len(found) == len(set(found)) == 6 + 6
        assert found[:6] == [*sorted(found[:3], reverse=True), *sorted(found[3:6], reverse=True)]
        session.rollback()
