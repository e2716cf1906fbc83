"""Many decisions in one transaction: each as if it had been alone, in statements that do not count them."""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from moderation_client import InlineBytes
from moderation_client.callback import WebhookCallback
from sqlalchemy import func, select
from support.statements import statements
from support.store_records import ALLOW, EMBEDDING, FACTS, MODEL_DIGEST, POLICY, REVIEW, WEAPONS, submission

from worker.domain.moderation.decision import Decision
from worker.domain.policies.policy import Action
from worker.domain.reviews.review import ReviewKind
from worker.policy_files.library import LivePolicy
from worker.store.decisions import decisions, embeddings
from worker.store.engine.tables import (
    EmbeddingRow,
    LabelScoreRow,
    OutboxRow,
    ReviewRow,
    ShadowDecisionRow,
    SubmissionRow,
)
from worker.store.reviews import verdicts
from worker.usecases.moderation.judge_picture import EmbeddedPicture, Judgement
from worker.usecases.moderation.record_decisions import JudgedSubmission, RecordDecisions

BLOCK = Decision(Action.BLOCK, "weapons 0.99", (replace(WEAPONS, score=0.99),), ("weapons",), severity=4)


class Judge:
    """All that recording asks of a judge."""

    digest = MODEL_DIGEST

    encoder = SimpleNamespace(info=SimpleNamespace(name="demo"))


def live(policy=POLICY):
    return LivePolicy(policy, None, f"name: {policy.name}\n", datetime.now(UTC))


def judged(number, decision=REVIEW, policy=POLICY, **fields):
    sha256 = f"{number:064x}"
    picture = EmbeddedPicture(replace(FACTS, sha256=sha256), EMBEDDING)
    what = replace(submission(f"upload-{number}"), **fields.pop("what", {}))
    return JudgedSubmission(what, live(policy), Judgement(decision, picture, sha256), **fields)


@pytest.fixture
def record(database):
    return RecordDecisions(database, Judge())


def count(database, table):
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(table))


def test_all_that_comes_of_each_is_written(database, record):
    shadow = replace(POLICY, name="strict", shadow=True)
    many = [
        judged(1),
        judged(2, ALLOW, shadows=[(live(shadow), REVIEW)]),
        judged(3, what={"callback": WebhookCallback("https://a.example/told")}),
        judged(4, what={"source": InlineBytes(b"bytes")}),
        JudgedSubmission(submission("upload-5"), live(), Judgement(Decision(Action.REVIEW, "no picture"))),
        judged(6, review=ReviewKind.QUARANTINE),
    ]

    recorded = record(many)

    ids = [one.decision_id for one in recorded]
    assert None not in ids
    with database.reading() as session:
        found = decisions.by_ids(session, ids)
        assert [found[one].submission_id for one in ids] == [f"upload-{n}" for n in range(1, 7)]
        assert [found[one].scores for one in ids] == [one.decision.scores for one in many]
        asked = dict(session.execute(select(ReviewRow.decision_id, ReviewRow.kind)).all())
        assert asked == {ids[0]: "decision", ids[2]: "decision", ids[3]: "decision", ids[4]: "decision"} | {
            ids[5]: "quarantine"
        }
        assert session.scalars(select(OutboxRow.decision_id)).all() == [ids[2]]
        assert session.scalars(select(ShadowDecisionRow.decision_id)).all() == [ids[1]]
        sources = dict(session.execute(select(SubmissionRow.id, SubmissionRow.review_source)).all())
        assert [name for name, source in sources.items() if source] == ["upload-4"]
        kept = embeddings.find_all(session, [f"{n:064x}" for n in (6, 5, 1)], MODEL_DIGEST)
        assert [one and one.facts.sha256 for one in kept] == [f"{6:064x}", None, f"{1:064x}"]


@pytest.mark.parametrize("size", [2, 16, 64])
def test_the_number_of_statements_does_not_depend_on_that_of_decisions(database, record, size):
    """Versions, submissions, decisions, scores, embeddings, verdicts to inherit, the time, reviews, numbers."""
    with statements(database) as seen:
        record([judged(n) for n in range(size)])
    assert len(seen) == 9
    assert count(database, LabelScoreRow) == 2 * size
    assert count(database, ReviewRow) == size


def test_what_another_decided_before_stays_and_the_others_are_written(database, record):
    (first,) = record([judged(1)])
    again, fresh, twice = record([judged(1, ALLOW), judged(2), judged(2, ALLOW)])
    assert (again.decision_id, twice.decision_id) == (None, None)
    with database.reading() as session:
        assert decisions.get(session, first.decision_id).action is Action.REVIEW
        assert decisions.get(session, fresh.decision_id).action is Action.REVIEW
    assert (count(database, ReviewRow), count(database, EmbeddingRow)) == (2, 2)


def test_within_a_group_too_no_more_is_blocked_than_the_policy_may(database, record):
    limited = replace(POLICY, name="limited", automatic_blocks_per_hour=3)
    record([judged(n, BLOCK, limited) for n in range(2)])
    others = [judged(9, BLOCK), judged(10, REVIEW, limited)]
    recorded = record([judged(n, BLOCK, limited) for n in range(2, 5)] + others)
    made = [one.decision for one in recorded]
    assert [one.action for one in made] == ["block", "review", "review", "block", "review"]
    assert [one.held_back for one in made] == [False, True, True, False, False]
    with database.reading() as session:
        assert decisions.get(session, recorded[1].decision_id).held_back


def test_the_same_bytes_inherit_a_verdict_and_their_neighbours_do_not(database, record):
    (first,) = record([judged(1)])
    with database.transaction() as session:
        said = verdicts.Verdict("upload-1", Action.BLOCK, frozenset({"weapons"}))
        verdicts.record(session, said, decision_id=first.decision_id, reviewer="ada")
    heir = replace(judged(1), submission=submission("upload-2"))
    other = replace(judged(1, policy=replace(POLICY, name="other")), submission=submission("upload-3"))

    recorded = record([heir, other, judged(4)])

    with database.reading() as session:
        inherited = [verdicts.to_inherit(session, [(f"{1:064x}", POLICY.digest)])]
        asked = session.scalars(select(ReviewRow.decision_id).order_by(ReviewRow.id)).all()
    assert asked == [first.decision_id, recorded[1].decision_id, recorded[2].decision_id]
    assert [one.id for found in inherited for one in found.values()] == [1]


def test_nothing_is_written_where_one_cannot_be(database, record):
    impossible = replace(judged(2), judgement=Judgement(replace(REVIEW, severity=9)))
    with pytest.raises(Exception, match="ck_decisions_severity"):
        record([judged(1), impossible])
    assert count(database, SubmissionRow) == 0
