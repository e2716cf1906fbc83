"""Records rows as a worker would, for tests of the store."""

from dataclasses import replace

import numpy as np
from moderation_client.submission import LocalFile, Submission
from sqlalchemy import update
from support.decided_submission import MODEL_DIGEST, add_decided

from worker.domain.accounts.api_key import Scope, new_api_key
from worker.domain.moderation.decision import Decision
from worker.domain.moderation.picture import PictureFacts
from worker.domain.moderation.scoring import LabelScore, Matrix
from worker.domain.moderation.view import View
from worker.domain.operations.label_activity import Activity
from worker.domain.policies.policy import DEFAULT_QUEUE, Action, Label, Policy
from worker.domain.policies.stored_policy import LearnedThresholds
from worker.domain.reviews.review import ReviewKind, Routing
from worker.domain.submissions.dropped_message import DroppedMessage, DropReason
from worker.store.accounts import api_keys
from worker.store.engine.column_types import utc_now
from worker.store.engine.database import Database
from worker.store.engine.tables import (
    AppealRow,
    AuditLogRow,
    DeskKeyRow,
    DeskSessionRow,
    GoldenItemRow,
    LeaseRow,
    LoginFailureRow,
    PolicyStateRow,
    ReversalRow,
    ReviewerRow,
    ReviewRow,
    ReviewSkipRow,
    SetAsideMessageRow,
    ShadowDecisionRow,
    SubmissionConflictRow,
    SubmissionRow,
    VerdictRow,
)
from worker.store.notifications import outbox
from worker.store.operations import label_activity
from worker.store.policies import learned_states, text_vectors
from worker.store.policies.learned_states import LearnedState
from worker.store.reviews import review_sources, reviews, verdicts
from worker.store.submissions import accepting, captions, dropped_messages

POLICY = Policy(
    name="default",
    background=("an everyday scene",),
    labels=(Label("weapons", ("a handgun",), severity=4), Label("alcohol", ("a bottle of wine",))),
)
OTHER_VERSION = replace(POLICY, background=("an everyday scene", "a person"))
FACTS = PictureFacts(sha256="a" * 64, format="PNG", width=640, height=480, frames=2)
EMBEDDING: Matrix = np.array([[0.6, 0.8, 0.0], [0.0, 0.28, 0.96]], dtype=np.float16).astype(np.float32)
WEAPONS = LabelScore("weapons", 0.75, "a handgun", 0.3, "an everyday scene", 0.25, view=View(frame=1))
ALCOHOL = LabelScore("alcohol", 0.125, "a bottle of wine", 0.1, "an everyday scene", 0.25)
REVIEW = Decision(Action.REVIEW, "weapons 0.75", (WEAPONS, ALCOHOL), ("weapons",), severity=4)
ALLOW = Decision(Action.ALLOW, "no label reached its threshold", (replace(WEAPONS, score=0.25), ALCOHOL))


def submission(submission_id: str = "upload-1", reference: str = "post-42") -> Submission:
    return Submission(submission_id, LocalFile("upload.png"), reference=reference)


def ask_again(database: Database, what: Submission, policy: Policy) -> None:
    """Request another decision of a decided submission, by this policy version."""
    with database.transaction() as session:
        session.execute(
            update(SubmissionRow)
            .where(SubmissionRow.id == what.id)
            .values(publish_at=utc_now(), policy_digest=policy.digest)
        )


def record(  # noqa: PLR0913
    database: Database,
    what: Submission,
    *,
    policy: Policy = POLICY,
    decision: Decision = REVIEW,
    facts: PictureFacts | None = FACTS,
    embedding: Matrix = EMBEDDING,
) -> int | None:
    """Record a decision like `ModerateImage`, in one transaction."""
    with database.transaction() as session:
        decision_id = add_decided(session, what, policy, decision, facts=facts, vectors=embedding)
        if decision_id is None:
            return None
        if decision.action is Action.REVIEW:
            reviews.ask(session, decision_id, ReviewKind.DECISION, Routing(DEFAULT_QUEUE, 4.75, None))
    return decision_id


def record_everything(database: Database) -> None:
    """Write a row into every table."""
    decision_id = record(database, submission())
    assert decision_id is not None
    would_be = {"policy": "strict", "policy_digest": POLICY.digest, "labels": ["weapons"], "severity": 4}
    with database.transaction() as session:
        verdict = verdicts.Verdict("upload-1", Action.ALLOW, frozenset())
        verdicts.record(session, verdict, decision_id=decision_id, reviewer="ada")
        session.add(
            ShadowDecisionRow(
                submission_id="upload-1",
                decision_id=decision_id,
                action=Action.BLOCK,
                reason="weapons 0.97",
                **would_be,
            )
        )
        session.add(PolicyStateRow(process="host:1:1", policy="default", shadow=False, seen_at=utc_now()))
        captions.keep(session, MODEL_DIGEST, {"upload-1": EMBEDDING[0]})
        api_keys.add(session, new_api_key("platform", [Scope.READ]))
        outbox.add(
            session,
            [
                outbox.News(
                    outbox.DECISION_MADE,
                    submission_id="upload-1",
                    decision_id=decision_id,
                    callback={"url": "https://platform.example/moderated"},
                ),
                outbox.News(
                    outbox.SUBMISSION_REFUSED,
                    submission_id="upload-1",
                    decision_id=None,
                    callback={"url": "https://platform.example/moderated"},
                    problem="there is no policy",
                ),
            ],
        )
        session.add(SubmissionConflictRow(submission_id="upload-1", fingerprint="f" * 64, reference=""))
        accepting.accept(session, submission("upload-0"), None, {"kind": "file", "path": "upload.png"})
        session.add(
            SetAsideMessageRow(
                digest="b" * 64,
                submission_id="upload-7",
                message="{}",
                error="the index is broken",
                failing_since=utc_now(),
                publish_at=utc_now(),
            )
        )
        dropped_messages.keep(session, [DroppedMessage.of(DropReason.NO_ID, "it has no id", "{}")])
        activity = Activity()
        activity.count(REVIEW)
        label_activity.add(session, {(POLICY.name, POLICY.digest): activity})
        text_vectors.keep(session, MODEL_DIGEST, {"a photo of a handgun": EMBEDDING[0]})
        learned_states.keep(session, b"state", learned_state("a" * 64))
        learned_states.change(session, POLICY.name, "a" * 64, "robin")
    _review_everything(database, decision_id)
    _enter_the_desk(database)


def learned_state(digest: str, model_digest: str = MODEL_DIGEST) -> LearnedState:
    """Return the description of a learned state with a threshold."""
    thresholds = LearnedThresholds(digest, (("weapons", 0.4, None),))
    figures = {"weapons": {"verdicts": 30}}
    return LearnedState(digest, POLICY.name, POLICY.digest, model_digest, thresholds, figures, utc_now())


def _review_everything(database: Database, decision_id: int) -> None:
    """Write a row into every table of the review desk, and every kind of review."""
    about = {"decision_id": decision_id, "priority": 4.5, "state": "open"}
    answer = {"submission_id": "upload-1", "decision_id": decision_id, "reviewer": "ada", "labels": []}
    with database.transaction() as session:
        golden = GoldenItemRow(
            decision_id=decision_id, queue="default", action=Action.ALLOW, labels=[], added_by="lea"
        )
        session.add(golden)
        session.flush()
        golden_review = ReviewRow(kind="golden", golden_id=golden.id, meant_for="ada", **about)
        appeal = ReviewRow(kind="appeal", for_lead=True, claimed_by="bob", claimed_until=utc_now(), **about)
        session.add_all([golden_review, appeal, ReviewRow(kind="second", **about | {"state": "withdrawn"})])
        session.flush()
        first = VerdictRow(action=Action.BLOCK, review_id=appeal.id, given_with="g", **answer)
        session.add(first)
        session.flush()
        repeated = VerdictRow(action=Action.BLOCK, inherited_from=first.id, **answer)
        measured = VerdictRow(action=Action.ALLOW, review_id=golden_review.id, effective=False, **answer)
        session.add_all([repeated, measured])
        session.flush()
        session.add(ReversalRow(verdict_id=first.id, reviewer="lea", action=Action.ALLOW))
        session.add(ReviewSkipRow(review_id=appeal.id, reviewer="ada", reason="too close"))
        session.add(
            AppealRow(
                decision_id=decision_id, review_id=appeal.id, statement="art", appealed_action=Action.BLOCK
            )
        )
        session.add(AuditLogRow(actor="ada", what="review.claimed", submission_id="upload-1", details={}))
        outbox.add(
            session,
            [
                outbox.News(
                    "verdict.made",
                    submission_id="upload-1",
                    decision_id=decision_id,
                    callback={"url": "https://platform.example/moderated"},
                    verdict_id=first.id,
                )
            ],
        )


def _enter_the_desk(database: Database) -> None:
    """Write a row into every table of accounts and sessions."""
    with database.transaction() as session:
        session.add(ReviewerRow(name="ada", role="lead", opt_outs=["weapons"], severe_per_day=40))
        session.flush()
        session.add(DeskSessionRow(id="e" * 64, reviewer="ada", by_proxy=False, seen_at=utc_now()))
        session.add(LoginFailureRow(name="nobody", address="192.0.2.7", failed_at=utc_now()))
        session.add(DeskKeyRow(purpose="pictures", secret=b"k" * 32))
        session.add(LeaseRow(task="tidy-up"))
        review_sources.keep(session, {"upload-1": {"kind": "bytes", "base64": "AAAA"}})
