"""What a lead is told: what waits, who answered how much, and how right it was; in few statements."""

from datetime import timedelta

import pytest
from sqlalchemy import update
from support.review_desk import ADA, BOB, LEA, Desk
from support.statements import statements

from worker.domain.policies.policy import Action
from worker.domain.reviews.agreement import Agreement, Hits
from worker.domain.reviews.verdict import Answer
from worker.store.engine.column_types import utc_now
from worker.store.engine.tables import ReviewRow
from worker.store.reviews.review_search import ReviewFilters
from worker.store.reviews.review_statistics import DayCount, LabelCount
from worker.usecases.reviews.golden_items import GoldenItems
from worker.usecases.reviews.review_statistics import ReviewStatistics

ALLOW = Answer(Action.ALLOW)
WEAPONS = Answer(Action.BLOCK, frozenset({"weapons"}))
ALCOHOL = Answer(Action.BLOCK, frozenset({"alcohol"}))
TWICE = Answer(Action.BLOCK, frozenset({"twice"}))


@pytest.fixture
def desk(emptied_database):
    return Desk(emptied_database)


def statistics(desk, **ago):
    return ReviewStatistics(desk.database)(utc_now() - timedelta(**(ago or {"days": 1})))


def test_nothing_is_told_of_nothing(desk):
    found = statistics(desk)
    assert (found.backlog, found.throughput, found.labels) == ([], [], [])
    assert found.agreement == Agreement(0, 0, None)


def test_the_backlog_is_told_by_queue(desk):
    desk.decide(gore=0.8)
    desk.decide(gore=0.8)
    desk.decide(weapons=0.8)
    with desk.database.transaction() as session:
        session.execute(update(ReviewRow).where(ReviewRow.id == 1).values(deadline_at=utc_now()))
    desk.claim(ADA, ReviewFilters(queue="default"))
    desk.escalate(BOB, [desk.claim(BOB).review.token], "?")
    default, urgent = statistics(desk).backlog
    assert (default.queue, default.open, default.claimed, default.overdue, default.for_lead) == (
        *("default", 1, 1),
        *(0, 0),
    )
    assert (urgent.queue, urgent.open, urgent.claimed, urgent.overdue, urgent.for_lead) == (
        "urgent",
        2,
        0,
        1,
        1,
    )
    assert urgent.oldest_at <= utc_now()


def test_verdicts_are_counted_by_day_person_and_action_and_labels_by_truth(desk):
    for _ in range(3):
        desk.decide(weapons=0.8)
    desk.answer(ADA, WEAPONS)
    desk.answer(ADA, ALCOHOL)
    desk.reverse(LEA, desk.answer(BOB, WEAPONS))
    found = statistics(desk)
    today = f"{utc_now():%Y-%m-%d}"
    assert found.throughput == [DayCount(today, "ada", Action.BLOCK, 2)]
    assert found.verdicts == {Action.ALLOW: 0, Action.BLOCK: 2}
    assert found.labels == [LabelCount("alcohol", 0, 0, 1), LabelCount("weapons", 2, 1, 0)]
    assert [label.precision for label in found.labels] == [None, 0.5]
    assert statistics(desk, days=-1).throughput == []


def test_agreement_is_of_first_and_second_looks(desk):
    for first, second in ((ALLOW, ALLOW), (TWICE, TWICE), (ALLOW, TWICE), (ALLOW, ALLOW)):
        desk.decide(twice=0.8)
        desk.answer(ADA, first)
        desk.answer(BOB, second)
    found = statistics(desk)
    assert found.agreement == Agreement(4, 3, 0.5)
    assert found.agreement_by_label == {"twice": Agreement(4, 3, 0.5)}
    assert found.agreement_by_reviewer == {"ada": Agreement(4, 3, 0.5), "bob": Agreement(4, 3, 0.5)}


def test_golden_answers_are_held_against_the_truth(desk):
    for _ in range(2):
        desk.decide(weapons=0.8)
        desk.answer(LEA, WEAPONS)
    for name in ("upload-1", "upload-2"):
        GoldenItems(desk.database).add(LEA, name, WEAPONS)
    desk.golden_share = 1.0
    desk.decide(weapons=0.8)
    desk.answer(ADA, WEAPONS)
    desk.answer(ADA, ALLOW)
    desk.answer(BOB, Answer(Action.BLOCK, frozenset({"weapons", "alcohol"})))
    found = statistics(desk)
    assert found.golden_by_reviewer == {"ada": Hits(2, 1), "bob": Hits(1, 1)}
    assert found.golden_by_label == {"alcohol": Hits(3, 2), "weapons": Hits(3, 2)}
    # What only measures is no truth about labels.
    assert found.labels == [LabelCount("weapons", 2, 2, 0)]
    GoldenItems(desk.database).retire(LEA, 2)
    found = statistics(desk)
    assert sum(hits.asked for hits in found.golden_by_reviewer.values()) < 3, (
        "no answer to it counts any more"
    )


def test_eight_statements_tell_it_all(desk):
    desk.decide(weapons=0.8)
    desk.answer(ADA, WEAPONS)
    with statements(desk.database) as seen:
        statistics(desk)
    assert len(seen) == 8
