"""What people answer counts once, is told to the platform, and can be undone with all that came of it."""

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import select, text
from support.decided_submission import MODEL_DIGEST
from support.review_desk import ADA, BOB, CLEO, LEA, POLICY, POLICY_TEXT, Desk

from worker.domain.accounts.reviewer import Reviewer, Role
from worker.domain.policies.policy import Action
from worker.domain.reviews.review import ReviewKind
from worker.domain.reviews.verdict import Answer
from worker.errors import (
    InvalidVerdictError,
    ReviewConflictError,
    ReviewNotAllowedError,
    UnknownReviewError,
)
from worker.store.engine.column_types import utc_now
from worker.store.engine.tables import AuditLogRow, OutboxRow, ReviewRow
from worker.store.operations import archive
from worker.store.operations.archive import Span
from worker.store.reviews import (
    appeals,
    golden_items,
    review_claims,
    review_search,
    verdict_events,
    verdicts,
)
from worker.usecases.reviews.golden_items import GoldenItems
from worker.usecases.reviews.submission_history import SubmissionHistory

ALLOW = Answer(Action.ALLOW)
BLOCK = Answer(Action.BLOCK, frozenset({"weapons"}))
PLATFORM = {"url": "https://platform.example/moderated"}
SAME_BYTES = "d" * 64


@pytest.fixture
def desk(emptied_database):
    return Desk(emptied_database, callback=PLATFORM)


def current(desk):
    """Return what `current_decisions` says: {submission: (action, by whom, labels' text)}."""
    query = "SELECT submission_id, action, decided_by FROM current_decisions ORDER BY decision_id"
    with desk.database.reading() as session:
        return {row[0]: (row[1], row[2]) for row in session.execute(text(query))}


def events(desk):
    """Return what the platform is told of verdicts, oldest first: (kind, submission, fields)."""
    of_verdicts = select(OutboxRow).where(OutboxRow.verdict_id.is_not(None))
    with desk.database.reading() as session:
        rows = session.scalars(of_verdicts.order_by(OutboxRow.id)).all()
        return [
            (row.kind, row.submission_id, verdict_events.fields_of(session, row.kind, row.verdict_id))
            for row in rows
        ]


def kinds(desk):
    return [(kind, submission) for kind, submission, _ in events(desk)]


def claim_of(desk, reviewer, submission_id):
    """Claim whatever is open about a submission."""
    with desk.database.reading() as session:
        page = review_search.page(session, review_search.ReviewFilters(), limit=99)
    (review,) = [one for one in page if one.decision.submission_id == submission_id]
    return desk.claim(reviewer, review_id=review.id, grouped=False).review


def test_a_verdict_is_in_force_told_and_on_record(desk):
    desk.decide(weapons=0.8)
    review = desk.claim(ADA).review
    answer = Answer(Action.BLOCK, frozenset({"weapons", "alcohol"}), "a real rifle", "seen before")
    (settled,) = desk.settle(ADA, [review.token], answer, {"revealed": True})
    assert current(desk) == {"upload-1": ("block", "person")}
    ((kind, submission_id, fields),) = events(desk)
    assert (kind, submission_id) == ("verdict.made", "upload-1")
    assert fields.pop("made_at")
    assert fields == {
        "verdict": settled.verdict_id,
        "decision": review.decision.id,
        "action": "block",
        "labels": ["alcohol", "weapons"],
        "reason": "a real rifle",
        "inherited": False,
    }
    with desk.database.reading() as session:
        entries = session.scalars(select(AuditLogRow).order_by(AuditLogRow.id)).all()
    assert [(one.actor, one.what) for one in entries] == [("ada", "review.claimed"), ("ada", "verdict.made")]
    assert entries[1].details["shown"] == {"revealed": True}
    assert entries[0].details["labels"] == ["weapons"]


def test_nobody_is_told_where_nobody_wants_to_hear(desk):
    desk.callback = None
    desk.decide(weapons=0.8)
    desk.answer(ADA, ALLOW)
    assert events(desk) == []


@pytest.mark.parametrize(
    ("scores", "answer", "words"),
    [
        ({"weapons": 0.8}, Answer(Action.ALLOW, frozenset({"guns"})), "has no label 'guns'"),
        ({"gore": 0.8}, Answer(Action.ALLOW), "requires a reason for every verdict about gore"),
        ({"weapons": 0.8}, Answer(Action.BLOCK, frozenset({"gore"})), "about gore"),
    ],
)
def test_an_answer_that_the_policy_does_not_take_changes_nothing(desk, scores, answer, words):
    desk.decide(**scores)
    review = desk.claim(ADA).review
    with pytest.raises(InvalidVerdictError, match=words):
        desk.settle(ADA, [review.token], answer)
    assert len(desk.open()) == 1
    assert events(desk) == []


def test_an_answer_is_allow_or_block_and_not_too_long():
    with pytest.raises(InvalidVerdictError, match="allow or block"):
        Answer(Action.REVIEW)
    with pytest.raises(InvalidVerdictError, match="the note has 4,001 characters"):
        Answer(Action.ALLOW, note="x" * 4001)


def test_reversing_brings_back_the_question_in_the_same_hands(desk):
    desk.decide(weapons=0.8)
    verdict_id = desk.answer(ADA, BLOCK)
    undone = desk.reverse(ADA, verdict_id, reason="misread")
    assert undone.verdict_ids == (verdict_id,)
    assert current(desk) == {"upload-1": ("review", "policy")}
    (review,) = undone.reopened
    assert (review.claimed_by, review.state) == ("ada", "open")
    assert kinds(desk) == [("verdict.made", "upload-1"), ("verdict.reversed", "upload-1")]
    fields = events(desk)[1][2]
    assert (fields["action"], fields["reversed_action"]) == ("review", "block")
    assert "ada" not in str(events(desk))
    with pytest.raises(ReviewConflictError, match=f"verdict {verdict_id} was reversed by ada at "):
        desk.reverse(ADA, verdict_id)
    desk.settle(ADA, [review.token], ALLOW)
    assert current(desk) == {"upload-1": ("allow", "person")}


def test_only_a_lead_takes_back_what_is_somebody_elses(desk):
    desk.decide(weapons=0.8)
    verdict_id = desk.answer(ADA, BLOCK)
    with pytest.raises(ReviewNotAllowedError, match="somebody else's"):
        desk.reverse(BOB, verdict_id)
    (review,) = desk.reverse(LEA, verdict_id).reopened
    assert review.claimed_by is None
    with pytest.raises(UnknownReviewError, match="there is no verdict 99"):
        desk.reverse(LEA, 99)


def test_a_group_is_answered_at_once_and_undone_one_by_one_or_whole(desk):
    for _ in range(3):
        desk.decide(weapons=0.8, vector=[1.0, 0.0])
    claim = desk.claim(ADA)
    tokens = [claim.review.token, *(review.token for review in claim.alike)]
    settled = desk.settle(ADA, tokens, BLOCK)
    assert len(settled) == len({one.verdict_id for one in settled}) == 3
    assert set(current(desk).values()) == {("block", "person")}
    assert kinds(desk).count(("verdict.made", "upload-2")) == 1
    desk.reverse(ADA, settled[1].verdict_id)
    assert sorted(current(desk).values()) == [("block", "person")] * 2 + [("review", "policy")]
    undone = desk.reverse(ADA, settled[0].verdict_id, whole_group=True)
    assert set(undone.verdict_ids) == {settled[0].verdict_id, settled[2].verdict_id}
    assert set(current(desk).values()) == {("review", "policy")}


def test_one_late_token_leaves_the_whole_group_unanswered(desk):
    for _ in range(3):
        desk.decide(weapons=0.8, vector=[1.0, 0.0])
    claim = desk.claim(ADA)
    lost = claim.alike[1]
    desk.release(ADA, [lost.token])
    desk.claim(BOB, review_id=lost.id)
    with pytest.raises(ReviewConflictError, match=f"review {lost.id} is claimed by bob"):
        desk.settle(ADA, [claim.review.token, *(review.token for review in claim.alike)], BLOCK)
    assert set(current(desk).values()) == {("review", "policy")}


def test_a_second_person_looks_blindly_and_agrees(desk):
    desk.decide(twice=0.8)
    desk.answer(ADA, ALLOW)
    assert desk.open() == [("second", "upload-1")]
    assert desk.claim(ADA) is None
    second = desk.claim(BOB).review
    assert (second.kind, second.blinded.kind) == (ReviewKind.SECOND, ReviewKind.DECISION)
    # As of a golden item: what is in hand is not in its history yet.
    assert [one.what for one in SubmissionHistory(desk.database)("upload-1", BOB)] == ["decision.made"]
    desk.settle(BOB, [second.token], ALLOW)
    assert desk.open() == []
    assert kinds(desk) == [("verdict.made", "upload-1")]


def test_where_two_differ_a_lead_decides(desk):
    desk.decide(twice=0.8)
    first = desk.answer(ADA, ALLOW)
    second = desk.answer(BOB, Answer(Action.BLOCK, frozenset({"twice"})))
    assert current(desk) == {"upload-1": ("allow", "person")}
    assert desk.open() == [("disagreement", "upload-1")]
    assert desk.claim(CLEO) is None
    assert desk.claim(Reviewer("ada", Role.LEAD)) is None
    third = desk.answer(LEA, Answer(Action.BLOCK, frozenset({"twice"})), ReviewKind.DISAGREEMENT)
    assert current(desk) == {"upload-1": ("block", "person")}
    with pytest.raises(ReviewConflictError, match=f"verdict {first} was followed by {third}, of lea"):
        desk.reverse(ADA, first)
    with pytest.raises(ReviewConflictError, match="a lead has decided"):
        desk.reverse(BOB, second)
    desk.reverse(LEA, third)
    assert current(desk) == {"upload-1": ("allow", "person")}


def test_undoing_the_first_undoes_the_second_look_and_the_disagreement(desk):
    desk.decide(twice=0.8)
    first = desk.answer(ADA, ALLOW)
    second = desk.answer(BOB, Answer(Action.BLOCK, frozenset({"twice"})))
    assert desk.reverse(ADA, first).verdict_ids == (first, second)
    assert desk.open() == [("decision", "upload-1")]
    (review,) = desk.reverse(ADA, desk.answer_held(ADA, ALLOW)).reopened
    desk.settle(ADA, [review.token], ALLOW)
    assert desk.open() == [("second", "upload-1")]
    # What Bob answered was taken back with the first verdict: he is asked that same question again.
    assert desk.claim(BOB).review.kind is ReviewKind.SECOND


def test_undoing_the_second_look_withdraws_the_disagreement(desk):
    desk.decide(twice=0.8)
    desk.answer(ADA, ALLOW)
    second = desk.answer(BOB, Answer(Action.BLOCK, frozenset({"twice"})))
    desk.reverse(BOB, second)
    assert desk.open() == [("second", "upload-1")]
    assert desk.answer_held(BOB, ALLOW)
    assert desk.open() == []


def test_the_same_bytes_inherit_what_a_person_said(desk):
    desk.decide(weapons=0.8, sha256=SAME_BYTES)
    first = desk.answer(ADA, replace(BLOCK, reason="a real one"))
    desk.decide(weapons=0.8, sha256=SAME_BYTES)
    desk.decide(weapons=0.8, sha256="e" * 64)
    assert current(desk)["upload-2"] == ("block", "person")
    assert desk.open() == [("decision", "upload-3")]
    told = events(desk)[1]
    assert told[:2] == ("verdict.made", "upload-2")
    assert (told[2]["inherited"], told[2]["reason"]) == (True, "a real one")
    desk.reverse(ADA, first)
    assert current(desk)["upload-2"] == ("review", "policy")
    assert {submission for _, submission in desk.open()} == {"upload-1", "upload-2", "upload-3"}
    assert kinds(desk)[2:] == [("verdict.reversed", "upload-1"), ("verdict.reversed", "upload-2")]
    desk.decide(weapons=0.8, sha256=SAME_BYTES)
    assert current(desk)["upload-4"] == ("review", "policy")


def test_nothing_is_inherited_under_another_version_or_when_switched_off(desk):
    desk.decide(weapons=0.8, sha256=SAME_BYTES)
    desk.answer(ADA, BLOCK)
    text_of_other = POLICY_TEXT.replace("an everyday scene", "a scene")
    other = replace(POLICY, background=("a scene",))
    desk.decide(weapons=0.8, sha256=SAME_BYTES, policy=other, text=text_of_other)
    desk.inherits = False
    desk.decide(weapons=0.8, sha256=SAME_BYTES)
    assert [current(desk)[f"upload-{n}"] for n in (2, 3)] == [("review", "policy")] * 2


def test_an_inherited_verdict_can_be_taken_back_alone(desk):
    desk.decide(weapons=0.8, sha256=SAME_BYTES)
    desk.answer(ADA, BLOCK)
    desk.decide(weapons=0.8, sha256=SAME_BYTES)
    with desk.database.reading() as session:
        inherited = verdicts.current(session, "upload-2")
    desk.reverse(LEA, inherited.id)
    assert current(desk) == {"upload-1": ("block", "person"), "upload-2": ("review", "policy")}
    assert desk.open() == [("decision", "upload-2")]


def test_an_appeal_goes_to_another_person_and_its_answer_is_an_event(desk):
    decision_id = desk.decide(weapons=0.8)
    with pytest.raises(ReviewConflictError, match="waits for a person"):
        desk.appeal(decision_id)
    desk.answer(ADA, BLOCK)
    appeal, is_new = desk.appeal(decision_id, "it is a toy")
    assert is_new
    assert desk.appeal(decision_id, "it is a toy") == (appeal, False)
    with pytest.raises(ReviewConflictError, match="in other words"):
        desk.appeal(decision_id, "no, a stick")
    assert desk.claim(ADA) is None
    with pytest.raises(ReviewNotAllowedError, match="ada has answered about this submission before"):
        desk.claim(ADA, review_id=appeal.review_id)
    review = desk.claim(BOB).review
    assert (review.kind, review.statement) == (ReviewKind.APPEAL, "it is a toy")
    desk.settle(BOB, [review.token], ALLOW)
    assert current(desk) == {"upload-1": ("allow", "person")}
    assert kinds(desk)[1:] == [("verdict.made", "upload-1"), ("appeal.answered", "upload-1")]
    answered = events(desk)[2][2]
    assert (answered["appeal"], answered["outcome"], answered["action"]) == (appeal.id, "overturned", "allow")
    with desk.database.reading() as session:
        known = appeals.find(session, appeal.id)
    assert (known.action, known.appealed_action) == (Action.ALLOW, Action.BLOCK)
    (review,) = desk.reverse(BOB, known.verdict_id).reopened
    assert current(desk) == {"upload-1": ("block", "person")}
    with desk.database.reading() as session:
        assert appeals.find(session, appeal.id).action is None


def test_an_automatic_block_can_be_appealed_once_and_only_the_newest(desk):
    old = desk.decide(weapons=0.995, submission_id="upload-1")
    other = replace(POLICY, background=("a scene",))
    text_of_other = POLICY_TEXT.replace("an everyday scene", "a scene")
    new = desk.decide(weapons=0.995, submission_id="upload-1", policy=other, text=text_of_other)
    with pytest.raises(ReviewConflictError, match=f"decision {old} was replaced by {new}"):
        desk.appeal(old)
    assert desk.appeal(new)[1]
    with pytest.raises(UnknownReviewError, match="there is no decision 99"):
        desk.appeal(99)


def test_golden_items_are_hidden_in_the_queue_once_for_each_person(desk):
    for _ in range(3):
        desk.decide(weapons=0.8)
    desk.answer(LEA, BLOCK)
    GoldenItems(desk.database).add(LEA, "upload-1", BLOCK)
    desk.golden_share, desk.drawn = 0.2, 0.1
    desk.callback = PLATFORM
    claim = desk.claim(ADA)
    assert (claim.review.kind, claim.review.blinded.kind) == (ReviewKind.GOLDEN, ReviewKind.DECISION)
    assert claim.review.decision.submission_id == "upload-1"
    # While it is claimed, it is listed as any claimed review.
    assert [what for what, _ in desk.open()] == ["decision", "decision", "golden"]
    assert [one.what for one in SubmissionHistory(desk.database)("upload-1", ADA)] == ["decision.made"]
    before = events(desk)
    (settled,) = desk.settle(ADA, [claim.review.token], ALLOW)
    assert [what for what, _ in desk.open()] == ["decision", "decision"]
    assert events(desk) == before
    assert current(desk)["upload-1"] == ("block", "person")
    with desk.database.reading() as session:
        assert verdicts.latest_of(session, ["upload-1"])["upload-1"].action is Action.BLOCK
    # Never again to the same person, nor to whoever knows the answer; to others, yes.
    assert desk.claim(ADA).review.kind is ReviewKind.DECISION
    assert desk.claim(LEA).review.kind is ReviewKind.DECISION
    desk.decide(weapons=0.8)
    assert desk.claim(BOB).review.kind is ReviewKind.GOLDEN
    # Undo does not give it away.
    (review,) = desk.reverse(ADA, settled.verdict_id).reopened
    assert (review.kind, review.claimed_by) == (ReviewKind.GOLDEN, "ada")
    assert events(desk) == before
    # An empty queue would.
    for reviewer in (CLEO,):
        desk.golden_share = 0.0
        while desk.claim(reviewer):
            pass
        desk.golden_share = 1.0
        assert desk.claim(reviewer) is None


def test_a_golden_item_belongs_to_one_person(desk):
    desk.decide(weapons=0.8)
    desk.decide(weapons=0.8)
    desk.answer(LEA, BLOCK)
    GoldenItems(desk.database).add(LEA, "post-1", BLOCK)
    desk.golden_share = 1.0
    golden = desk.claim(ADA).review
    with pytest.raises(ReviewConflictError, match="claimed by ada"):
        desk.claim(BOB, review_id=golden.id)
    desk.release(ADA, [golden.token])
    with pytest.raises(UnknownReviewError):
        desk.claim(BOB, review_id=golden.id)
    desk.golden_share = 0.0
    assert desk.claim(BOB).review.id != golden.id
    assert desk.claim(ADA).review.id == golden.id
    with pytest.raises(ReviewConflictError, match="golden item already"):
        GoldenItems(desk.database).add(LEA, "upload-1", BLOCK)
    with pytest.raises(ReviewConflictError, match="is in the queue"):
        GoldenItems(desk.database).add(LEA, "upload-2", BLOCK)
    with pytest.raises(UnknownReviewError, match="no decision on a submission 'upload-9'"):
        GoldenItems(desk.database).add(LEA, "upload-9", BLOCK)
    with desk.database.reading() as session:
        (item,) = golden_items.everything(session)
    assert (item.submission_id, item.labels, item.queue) == ("upload-1", ("weapons",), "default")


def test_what_measures_and_what_was_taken_back_is_no_truth_for_policies(desk):
    for _ in range(3):
        desk.decide(twice=0.8, vector=[1.0, 0.0])
    desk.answer(ADA, ALLOW, grouped=False)
    desk.answer(BOB, Answer(Action.BLOCK), kind=None, review_id=claim_of(desk, BOB, "upload-1").id)
    taken_back = claim_of(desk, ADA, "upload-2")
    (settled,) = desk.settle(ADA, [taken_back.token], Answer(Action.BLOCK))
    desk.reverse(ADA, settled.verdict_id)
    with desk.database.reading() as session:
        found = verdicts.latest_of(session, ["upload-1", "upload-2", "upload-3"])
        (chunk,) = archive.stream(session, Span(utc_now().replace(year=2000)), MODEL_DIGEST)
    assert {name: verdict.action for name, verdict in found.items()} == {"upload-1": Action.ALLOW}
    assert dict(zip(chunk.submission_ids, chunk.has_verdict, strict=True)) == {
        "upload-1": True,
        "upload-2": False,
        "upload-3": False,
    }


def test_people_read_the_queue_in_sql(desk):
    desk.decide(gore=0.8)
    desk.decide(weapons=0.8)
    desk.claim(ADA, review_search.ReviewFilters(queue="urgent"))
    query = (
        "SELECT queue, kind, severity, submission_id, reference, claimed_by, deadline_at IS NOT NULL, for_lead"
        " FROM review_queue ORDER BY priority DESC"
    )
    with desk.database.reading() as session:
        rows = [tuple(row) for row in session.execute(text(query))]
    assert rows == [
        ("urgent", "decision", 5, "upload-1", "post-1", "ada", True, False),
        ("default", "decision", 4, "upload-2", "post-2", None, False, False),
    ]


def test_the_history_of_a_submission_is_told_in_order(desk):
    desk.decide(weapons=0.8)
    token = desk.claim(ADA).review.token
    desk.skip(ADA, [token], "too close")
    verdict_id = desk.answer(BOB, BLOCK)
    desk.reverse(BOB, verdict_id, reason="a toy")
    found = SubmissionHistory(desk.database)("upload-1")
    assert [(one.actor, one.what) for one in found] == [
        ("default", "decision.made"),
        ("ada", "review.claimed"),
        ("ada", "review.skipped"),
        ("bob", "review.claimed"),
        ("bob", "verdict.made"),
        ("bob", "verdict.reversed"),
    ]
    assert found[-1].details["reason"] == "a toy"
    assert SubmissionHistory(desk.database)("upload-9") == []


def test_an_escalated_golden_item_goes_to_no_lead(desk):
    desk.decide(weapons=0.8)
    desk.decide(weapons=0.8)
    desk.answer(CLEO, BLOCK)
    GoldenItems(desk.database).add(LEA, "upload-1", BLOCK)
    desk.golden_share = 1.0
    desk.escalate(ADA, [desk.claim(ADA).review.token], "what is this?")
    with desk.database.reading() as session:
        (row,) = session.scalars(select(ReviewRow).where(ReviewRow.golden_id.is_not(None)))
        assert (row.state, row.for_lead) == ("withdrawn", False)
        assert review_claims.golden_reviews(session, "upload-1") == {row.id}


def test_nothing_inherits_what_is_being_taken_back(desk):
    # Either the re-upload is first and is undone with it, or it finds nothing to inherit.
    together = threading.Barrier(9)

    def upload(_):
        together.wait()
        desk.decide(weapons=0.8, sha256=SAME_BYTES, submission_id=secrets.token_hex(8))

    def take_back(verdict_id):
        together.wait()
        desk.reverse(ADA, verdict_id)

    desk.decide(weapons=0.8, sha256=SAME_BYTES)
    verdict_id = desk.answer(ADA, BLOCK)
    with ThreadPoolExecutor(9) as pool:
        done = [pool.submit(upload, n) for n in range(8)] + [pool.submit(take_back, verdict_id)]
        for one in done:
            one.result()
    assert len(current(desk)) == 9
    assert set(current(desk).values()) == {("review", "policy")}
    assert len(desk.open()) == 9
