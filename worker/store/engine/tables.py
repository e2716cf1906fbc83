"""The tables as this version reads and writes them; `migrations/` is how a database gets there."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    UniqueConstraint,
    false,
    text,
    true,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from worker.domain.policies.policy import Action
from worker.store.engine.clock import moment
from worker.store.engine.column_types import ActionName, FreeText, Identifier, Names, UtcDateTime

#: Every constraint has a name, so that a later migration can name it too; a CHECK is given its own.
_CONSTRAINT_NAMES: Final = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
}

#: Conditions of indices, for queries too: a database uses the index only where it sees the very condition.
UNDECIDED: Final = text("state = 'accepted'")
DELIVERED: Final = text("state = 'delivered'")
TRIED_AGAIN: Final = text("attempts > 1")
#: A version before 0017 leaves `published_at` and `waits_for` on what it decides.
QUEUED: Final = text("published_at IS NOT NULL AND publish_at IS NOT NULL")
TO_BE_PUBLISHED: Final = text("published_at IS NULL AND publish_at IS NOT NULL")
#: A version is pinned by the claim: what waits for something else was claimed before.
WAITING_FOR_POLICY: Final = text("publish_at IS NOT NULL AND policy_digest IS NULL AND error IS NOT NULL")
WAITING: Final = text("waits_for IS NOT NULL AND publish_at IS NOT NULL")
PENDING: Final = text("state = 'pending'")
OPEN: Final = text("state = 'open'")
#: The order of the review queue, before the id.
URGENT_FIRST: Final = text("priority DESC")
#: Verdicts that a person gave themselves.
GIVEN: Final = text("inherited_from IS NULL")


class Row(DeclarativeBase):
    """A row of any table."""

    metadata = MetaData(naming_convention=_CONSTRAINT_NAMES)
    type_annotation_map = {datetime: UtcDateTime, str: FreeText, Action: ActionName}  # noqa: RUF012 - SQLAlchemy's form


class SubmissionRow(Row):
    """The ledger: every submission that was accepted over HTTP or reached a worker, once."""

    __tablename__ = "submissions"
    __table_args__ = (
        CheckConstraint("state IN ('accepted', 'decided', 'refused')", name="ck_submissions_state"),
        Index(None, "state", "updated_at"),
        Index(None, "reference", "created_at"),
        Index(
            None,
            "publish_at",
            sqlite_where=text("publish_at IS NOT NULL"),
            postgresql_where=text("publish_at IS NOT NULL"),
        ),
        Index(
            None,
            "claimed_by",
            sqlite_where=text("claimed_by IS NOT NULL"),
            postgresql_where=text("claimed_by IS NOT NULL"),
        ),
        # Few are undecided, or were tried again; operators ask for both every few seconds.
        Index("ix_submissions_undecided", "created_at", sqlite_where=UNDECIDED, postgresql_where=UNDECIDED),
        Index(
            "ix_submissions_tried_again", "updated_at", sqlite_where=TRIED_AGAIN, postgresql_where=TRIED_AGAIN
        ),
        Index("ix_submissions_published_at", "published_at", sqlite_where=QUEUED, postgresql_where=QUEUED),
        Index(
            "ix_submissions_to_be_published",
            "publish_at",
            sqlite_where=TO_BE_PUBLISHED,
            postgresql_where=TO_BE_PUBLISHED,
        ),
        Index(
            "ix_submissions_waiting_for_policy",
            "policy",
            "created_at",
            sqlite_where=WAITING_FOR_POLICY,
            postgresql_where=WAITING_FOR_POLICY,
        ),
        Index(
            "ix_submissions_waits_for",
            "waits_for",
            "created_at",
            sqlite_where=WAITING,
            postgresql_where=WAITING,
        ),
        Index(
            "ix_submissions_review_source",
            "id",
            sqlite_where=text("review_source IS NOT NULL"),
            postgresql_where=text("review_source IS NOT NULL"),
        ),
    )

    #: The producer's idempotency key.
    id: Mapped[str] = mapped_column(primary_key=True)
    reference: Mapped[str]
    #: Waiting: the policy asked for, None for the workers' default. Refused before one was found: None.
    policy: Mapped[str | None]
    #: Waiting: the digest that was promised. Decided: None where the bytes could not be had or judged.
    sha256: Mapped[str | None]
    #: Where the picture is, as the message said it; None where it came inside the message.
    source: Mapped[dict[str, Any] | None] = mapped_column(Names)
    #: What the platform wants back beside the decision; None where it gave nothing.
    context: Mapped[dict[str, Any] | None] = mapped_column(Names)
    #: Where the platform wants to hear of the decision; None leaves it to the settings.
    callback: Mapped[dict[str, Any] | None] = mapped_column(Names)
    state: Mapped[str]
    #: Why it was refused, or why it is not judged yet; None otherwise.
    error: Mapped[str | None]
    #: Undecided: the resource that is unavailable, as operators call it; None if it waits for none.
    waits_for: Mapped[str | None]
    #: What tells it from another submission with the same id; None where it was recorded before 0004.
    fingerprint: Mapped[str | None]
    #: Undecided: the source whole, with the query that may sign it or the bytes; emptied with the outcome.
    pending_source: Mapped[dict[str, Any] | None] = mapped_column(Names)
    #: While a person has yet to look: the source whole, where `source` is not; emptied once it is settled.
    review_source: Mapped[dict[str, Any] | None] = mapped_column(Names)
    #: Undecided: when it is put on the queue. If it is there already (`published_at`), a version before 0010
    #: publishes it again then; this version does so only if its message was lost.
    publish_at: Mapped[datetime | None]
    #: Undecided: when its message was put on the queue; None if no message of it is known to be there.
    published_at: Mapped[datetime | None]
    #: Undecided: when it is refused unless its policy is in force by then; None: it waits as long as it
    #: takes.
    refuse_at: Mapped[datetime | None]
    #: The policy version that claimed it last, and the only one that may decide it; None before 0010.
    policy_digest: Mapped[str | None]
    #: Names the last request for a second judgement; None if nobody asked for one.
    again: Mapped[str | None]
    #: How often it was put on the queue again.
    published_again: Mapped[int] = mapped_column(server_default="0")
    #: How often a worker began to judge it, counted before the picture is touched.
    attempts: Mapped[int] = mapped_column(server_default="0")
    #: How many of those attempts ended with the death of the worker's process.
    crashes: Mapped[int] = mapped_column(server_default="0")
    #: The worker process that has it in hand, host:process-id:start; None where none has.
    claimed_by: Mapped[str | None]
    #: Nobody else takes it in hand before then: a lease that its holder renews or, without a holder, the
    #: pause before the next attempt.
    claimed_until: Mapped[datetime | None]
    #: Counts the changes of what is in force: decisions, verdicts, reversals, refusals.
    sequence: Mapped[int] = mapped_column(server_default="0")
    #: The trace that it belongs to, as W3C writes it; None if the platform named none.
    traceparent: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=moment())
    updated_at: Mapped[datetime] = mapped_column(default=moment())


class SubmissionConflictRow(Row):
    """An id that came a second time with another picture, or under another policy; it was not judged."""

    __tablename__ = "submission_conflicts"
    __table_args__ = (UniqueConstraint("submission_id", "fingerprint"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    submission_id: Mapped[str] = mapped_column(ForeignKey(SubmissionRow.id))
    #: What tells the second from the first; the first's is in `submissions`.
    fingerprint: Mapped[str]
    reference: Mapped[str]
    #: The policy it asked for; None where it left that open.
    policy: Mapped[str | None]
    sha256: Mapped[str | None]
    #: Where its picture is; None where it came inside the message.
    source: Mapped[dict[str, Any] | None] = mapped_column(Names)
    created_at: Mapped[datetime] = mapped_column(default=moment(), index=True)


class SetAsideMessageRow(Row):
    """A message that no worker could enter into the ledger, kept until it can be published again."""

    __tablename__ = "set_aside_messages"

    #: SHA-256 of the message, in hexadecimal.
    digest: Mapped[str] = mapped_column(primary_key=True)
    #: As the message said it, which need not be a valid id.
    submission_id: Mapped[str]
    #: The arguments of `moderation.check`, as JSON.
    message: Mapped[str]
    error: Mapped[str]
    #: When it first failed.
    failing_since: Mapped[datetime]
    publish_at: Mapped[datetime] = mapped_column(index=True)


class PolicyVersionRow(Row):
    """The text of every policy that ever decided."""

    __tablename__ = "policy_versions"

    digest: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    text: Mapped[str]
    first_seen_at: Mapped[datetime] = mapped_column(default=moment())
    #: When a worker last put it in force; None where none did since this is noted.
    last_in_force_at: Mapped[datetime | None]


class PolicyStateRow(Row):
    """What each worker process makes of each policy file; how `moderate policy status` knows."""

    __tablename__ = "policy_states"

    #: host:process-id:start.
    process: Mapped[str] = mapped_column(primary_key=True)
    policy: Mapped[str] = mapped_column(primary_key=True)
    #: The version in force in this process; None where no version ever was good.
    digest: Mapped[str | None]
    shadow: Mapped[bool]
    in_force_since: Mapped[datetime | None]
    #: The file's latest version was refused: when and why; None where it was taken.
    refused_at: Mapped[datetime | None]
    refusal: Mapped[str | None]
    #: The process was alive then.
    seen_at: Mapped[datetime] = mapped_column(index=True)


class DecisionRow(Row):
    """What was decided and why; rows are added, never changed."""

    __tablename__ = "decisions"
    __table_args__ = (
        UniqueConstraint("submission_id", "policy_digest"),
        CheckConstraint("action IN ('allow', 'review', 'block')", name="ck_decisions_action"),
        CheckConstraint("severity BETWEEN 0 AND 5", name="ck_decisions_severity"),
        Index(None, "created_at"),
        Index(None, "action", "created_at"),
        Index(None, "policy", "created_at"),
        Index(None, "policy", "action", "created_at"),
        Index(
            None,
            "sha256",
            "created_at",
            sqlite_where=text("sha256 IS NOT NULL"),
            postgresql_where=text("sha256 IS NOT NULL"),
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    submission_id: Mapped[str] = mapped_column(ForeignKey(SubmissionRow.id))
    policy: Mapped[str]
    policy_digest: Mapped[str] = mapped_column(ForeignKey(PolicyVersionRow.digest))
    #: The model as it was configured, and the digest of its weights and preprocessing.
    model: Mapped[str]
    model_digest: Mapped[str]
    action: Mapped[Action]
    #: The flagged labels, gravest first.
    labels: Mapped[list[str]] = mapped_column(Names)
    #: The gravest flagged label's severity, 1 to 5; 0 where nothing is flagged.
    severity: Mapped[int]
    reason: Mapped[str]
    #: The picture's facts; None where it could not be judged.
    sha256: Mapped[str | None]
    format: Mapped[str | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
    frames: Mapped[int | None]
    #: None also for what was decided before they were kept.
    parts: Mapped[int | None]
    area_share: Mapped[float | None]
    time_share: Mapped[float | None]
    #: Whether it would have been a block, had the hour's automatic blocks not been used up.
    held_back: Mapped[bool] = mapped_column(server_default=false())
    #: The chance with which this allowed picture was to be drawn for the audit; None where none was drawn.
    audit_probability: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(default=moment())


class LabelScoreRow(Row):
    """One label's score within a decision, and the two phrases that made it."""

    __tablename__ = "label_scores"
    __table_args__ = (
        CheckConstraint("score BETWEEN 0 AND 1", name="ck_label_scores_score"),
        # Few scores are flagged, and those are what people look for.
        Index(
            "ix_label_scores_flagged",
            "label",
            "decision_id",
            sqlite_where=text("flagged = 1"),
            postgresql_where=text("flagged"),
        ),
    )

    decision_id: Mapped[int] = mapped_column(Identifier, ForeignKey(DecisionRow.id), primary_key=True)
    #: The label's place in the policy, from 0.
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    label: Mapped[str]
    flagged: Mapped[bool]
    score: Mapped[float]
    prompt: Mapped[str]
    prompt_cosine: Mapped[float]
    background: Mapped[str]
    background_cosine: Mapped[float]
    #: The view that shows it most clearly. `on_black` is None for what was decided before it was kept.
    frame: Mapped[int]
    on_black: Mapped[bool | None]
    part: Mapped[int] = mapped_column(server_default=text("0"))


class EmbeddingRow(Row):
    """What a model saw in a picture: personal data, found by the digest of the bytes."""

    __tablename__ = "embeddings"
    __table_args__ = (Index(None, "model_digest", "created_at"),)

    sha256: Mapped[str] = mapped_column(primary_key=True)
    model_digest: Mapped[str] = mapped_column(primary_key=True)
    format: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    frames: Mapped[int]
    parts: Mapped[int] = mapped_column(server_default=text("1"))
    area_share: Mapped[float] = mapped_column(server_default=text("1"))
    time_share: Mapped[float] = mapped_column(server_default=text("1"))
    dimension: Mapped[int]
    #: float16, little-endian, shape (views, dimension).
    vectors: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(default=moment())


class TextVectorRow(Row):
    """What a model makes of a phrase in a template."""

    __tablename__ = "text_vectors"

    text_sha256: Mapped[str] = mapped_column(primary_key=True)
    model_digest: Mapped[str] = mapped_column(primary_key=True)
    #: float32, little-endian.
    vector: Mapped[bytes] = mapped_column(LargeBinary)
    #: When a worker last asked for it, to a day.
    used_at: Mapped[datetime] = mapped_column(index=True)


class ReviewRow(Row):
    """A question for a person; while it is open, it is in the queue."""

    __tablename__ = "reviews"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'settled', 'withdrawn')", name="ck_reviews_state"),
        CheckConstraint(
            "kind IN ('decision', 'audit', 'quarantine', 'appeal', 'second', 'disagreement', 'golden')",
            name="ck_reviews_kind",
        ),
        # One question of a kind about a decision; a golden item is asked of many people.
        Index(
            "uq_reviews_decision_id_kind",
            "decision_id",
            "kind",
            unique=True,
            sqlite_where=text("kind <> 'golden'"),
            postgresql_where=text("kind <> 'golden'"),
        ),
        Index(
            "uq_reviews_golden_id_meant_for",
            "golden_id",
            "meant_for",
            unique=True,
            sqlite_where=text("golden_id IS NOT NULL"),
            postgresql_where=text("golden_id IS NOT NULL"),
        ),
        # In the order in which they are handed out.
        Index("ix_reviews_order", "state", URGENT_FIRST, "id"),
        Index("ix_reviews_order_in_queue", "queue", "state", URGENT_FIRST, "id"),
        Index("ix_reviews_order_of_kind", "kind", "state", URGENT_FIRST, "id"),
        # Most reviews are settled; what is open is counted every few seconds.
        Index("ix_reviews_open_since", "kind", "created_at", sqlite_where=OPEN, postgresql_where=OPEN),
        Index(
            None,
            "claimed_by",
            sqlite_where=text("claimed_by IS NOT NULL"),
            postgresql_where=text("claimed_by IS NOT NULL"),
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    decision_id: Mapped[int] = mapped_column(Identifier, ForeignKey(DecisionRow.id), index=True)
    #: Why a person is asked: `ReviewKind` tells the kinds apart.
    kind: Mapped[str] = mapped_column(server_default="decision")
    #: Withdrawn: what raised the question was taken back.
    state: Mapped[str]
    #: Larger first.
    priority: Mapped[float]
    #: Where it waits, as the policy routes it.
    queue: Mapped[str] = mapped_column(server_default="default")
    #: When a person should have answered; None where the policy sets no time.
    deadline_at: Mapped[datetime | None]
    #: Whether only a lead may answer, and why it was escalated; None where it was not.
    for_lead: Mapped[bool] = mapped_column(server_default=false())
    escalation: Mapped[str | None]
    #: Golden: the known answer, and the one person it is asked of.
    golden_id: Mapped[int | None] = mapped_column(Identifier, ForeignKey("golden_items.id"))
    meant_for: Mapped[str | None]
    #: Who has it in hand, and until when unless they renew; both None where nobody has.
    claimed_by: Mapped[str | None]
    claimed_until: Mapped[datetime | None]
    #: Counts the claims: an answer with an older number comes too late.
    fence: Mapped[int] = mapped_column(server_default="0")
    #: When the source was found to have other bytes than those that were judged; None while it was not.
    picture_changed_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=moment())


class ReviewSkipRow(Row):
    """A review that a person passed by: it comes last for them."""

    __tablename__ = "review_skips"

    review_id: Mapped[int] = mapped_column(Identifier, ForeignKey(ReviewRow.id), primary_key=True)
    reviewer: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=moment())


class GoldenItemRow(Row):
    """A decision whose true answer is known; asked among the others, it shows how well people see."""

    __tablename__ = "golden_items"
    __table_args__ = (
        CheckConstraint("action IN ('allow', 'block')", name="ck_golden_items_action"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    decision_id: Mapped[int] = mapped_column(Identifier, ForeignKey(DecisionRow.id), unique=True)
    queue: Mapped[str]
    #: The known answer.
    action: Mapped[Action]
    labels: Mapped[list[str]] = mapped_column(Names)
    added_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=moment())
    #: Since when it is asked of nobody any more; None while it is.
    retired_at: Mapped[datetime | None]


class ShadowDecisionRow(Row):
    """What a shadow policy would have decided; kept apart, since nothing may act on it."""

    __tablename__ = "shadow_decisions"
    __table_args__ = (
        UniqueConstraint("submission_id", "policy_digest"),
        CheckConstraint("action IN ('allow', 'review', 'block')", name="ck_shadow_decisions_action"),
        Index(None, "policy", "created_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    submission_id: Mapped[str] = mapped_column(ForeignKey(SubmissionRow.id))
    #: The decision that was made meanwhile, by the policy in force.
    decision_id: Mapped[int] = mapped_column(Identifier, ForeignKey(DecisionRow.id), index=True)
    policy: Mapped[str]
    policy_digest: Mapped[str] = mapped_column(ForeignKey(PolicyVersionRow.digest))
    action: Mapped[Action]
    #: The flagged labels, gravest first.
    labels: Mapped[list[str]] = mapped_column(Names)
    severity: Mapped[int]
    reason: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=moment())


class VerdictRow(Row):
    """A person's answer to a review: what the picture truly is; rows are added, never changed."""

    __tablename__ = "verdicts"
    __table_args__ = (
        CheckConstraint("action IN ('allow', 'block')", name="ck_verdicts_action"),
        Index(None, "submission_id", "created_at"),
        Index(None, "review_id"),
        Index(
            None,
            "inherited_from",
            sqlite_where=text("inherited_from IS NOT NULL"),
            postgresql_where=text("inherited_from IS NOT NULL"),
        ),
        Index(
            None,
            "given_with",
            sqlite_where=text("given_with IS NOT NULL"),
            postgresql_where=text("given_with IS NOT NULL"),
        ),
        # A popular picture has one given verdict and any number of inherited ones.
        Index(
            "ix_verdicts_judged", "sha256", "policy_digest", "id", sqlite_where=GIVEN, postgresql_where=GIVEN
        ),
        Index("ix_verdicts_given_at", "created_at", sqlite_where=GIVEN, postgresql_where=GIVEN),
        Index("ix_verdicts_given_by", "reviewer", "created_at", sqlite_where=GIVEN, postgresql_where=GIVEN),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    submission_id: Mapped[str] = mapped_column(ForeignKey(SubmissionRow.id))
    #: The decision that the person looked at.
    decision_id: Mapped[int] = mapped_column(Identifier, ForeignKey(DecisionRow.id), index=True)
    #: The question that it answers; None where it is inherited, or older than the queue.
    review_id: Mapped[int | None] = mapped_column(Identifier, ForeignKey(ReviewRow.id))
    action: Mapped[Action]
    #: The labels that truly apply, those the model missed too.
    labels: Mapped[list[str]] = mapped_column(Names)
    reviewer: Mapped[str]
    #: Why, for the platform; None where the policy asks for none and none was given.
    reason: Mapped[str | None]
    #: For colleagues alone.
    note: Mapped[str | None]
    #: Names the verdicts that were given at one look.
    given_with: Mapped[str | None]
    #: The verdict about the same bytes that this one repeats.
    inherited_from: Mapped[int | None] = mapped_column(Identifier, ForeignKey("verdicts.id"))
    #: What the person judged: the decision's bytes and policy version, copied so that an index has them.
    #: None if it is inherited, if the person saw other bytes or none, or if a version before 0016 wrote it.
    sha256: Mapped[str | None]
    policy_digest: Mapped[str | None]
    #: Whether it decides about the submission; a blind second look and a golden item only measure.
    effective: Mapped[bool] = mapped_column(server_default=true())
    #: Whether the person saw the bytes that were judged. If not, the answer is about this submission alone:
    #: nothing inherits it, and no policy or person is measured by it.
    picture_seen: Mapped[bool] = mapped_column(server_default=true())
    created_at: Mapped[datetime] = mapped_column(default=moment(), index=True)


class ReversalRow(Row):
    """A verdict that was taken back; it counts no more."""

    __tablename__ = "reversals"

    verdict_id: Mapped[int] = mapped_column(Identifier, ForeignKey(VerdictRow.id), primary_key=True)
    reviewer: Mapped[str]
    reason: Mapped[str | None]
    #: What is in force about the submission since.
    action: Mapped[Action]
    created_at: Mapped[datetime] = mapped_column(default=moment())


class AppealRow(Row):
    """The platform's question whether a decision was right, on behalf of whoever it hit."""

    __tablename__ = "appeals"
    __table_args__ = (
        CheckConstraint("appealed_action IN ('allow', 'block')", name="ck_appeals_appealed_action"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    #: A decision can be appealed once.
    decision_id: Mapped[int] = mapped_column(Identifier, ForeignKey(DecisionRow.id), unique=True)
    review_id: Mapped[int] = mapped_column(Identifier, ForeignKey(ReviewRow.id), unique=True)
    #: In the words of whoever appeals; empty where they gave none.
    statement: Mapped[str]
    #: What was in force then.
    appealed_action: Mapped[Action]
    created_at: Mapped[datetime] = mapped_column(default=moment(), index=True)


class AuditLogRow(Row):
    """Who did what at the review desk and what they were shown; rows are added, never changed."""

    __tablename__ = "audit_log"
    __table_args__ = (
        Index(None, "actor", "at"),
        Index(None, "submission_id", "at"),
        Index(
            None,
            "review_id",
            sqlite_where=text("review_id IS NOT NULL"),
            postgresql_where=text("review_id IS NOT NULL"),
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    at: Mapped[datetime] = mapped_column(default=moment(), index=True)
    actor: Mapped[str]
    #: review.claimed, verdict.made and the like: `store/audit_log.py` names them.
    what: Mapped[str]
    #: No foreign keys: what was done stays on record, whatever becomes of its object.
    review_id: Mapped[int | None] = mapped_column(Identifier)
    submission_id: Mapped[str | None]
    details: Mapped[dict[str, Any]] = mapped_column(Names)


class OutboxRow(Row):
    """What the platform is to be told; written in the transaction of what happened."""

    __tablename__ = "outbox"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'delivered', 'given_up')", name="ck_outbox_state"),
        Index(None, "state", "next_attempt_at"),
        Index("ix_outbox_delivered", "settled_at", sqlite_where=DELIVERED, postgresql_where=DELIVERED),
        Index(None, "state", "id"),
        Index(None, "state", "receiver", "next_attempt_at"),
        Index("ix_outbox_pending", "created_at", sqlite_where=PENDING, postgresql_where=PENDING),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    #: Names the event to the platform, which may hear of it more than once.
    event_id: Mapped[str] = mapped_column(unique=True)
    #: What happened: decision.made, submission.refused, verdict.made, verdict.reversed or appeal.answered.
    kind: Mapped[str]
    submission_id: Mapped[str] = mapped_column(ForeignKey(SubmissionRow.id), index=True)
    #: None if the submission was refused.
    decision_id: Mapped[int | None] = mapped_column(Identifier, ForeignKey(DecisionRow.id))
    #: Why the submission was refused; None if it is about a decision.
    problem: Mapped[str | None]
    #: The verdict that was made, reversed, or answers the appeal; None where it is about a decision.
    verdict_id: Mapped[int | None] = mapped_column(Identifier, ForeignKey(VerdictRow.id))
    #: The submission's state after what happened: its sequence number, what is in force, who decided it.
    #: All None if the version before 0011 wrote the event.
    sequence: Mapped[int | None]
    action: Mapped[Action | None]
    decided_by: Mapped[str | None]
    #: Whom to tell: `{"url"}`, or `{"task", "queue"}`.
    callback: Mapped[dict[str, Any]] = mapped_column(Names)
    #: Who answers there: the host, or `celery`; one that hangs must not hold up the others.
    receiver: Mapped[str]
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(server_default="0")
    #: Pending: when it is sent next, or, while it is being sent, when another process may try.
    next_attempt_at: Mapped[datetime | None]
    #: Why the last attempt failed; None where none did.
    error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=moment())
    #: When it was added, or replayed last: from then on the time counts after which it is given up.
    started_at: Mapped[datetime]
    #: When it was delivered or given up.
    settled_at: Mapped[datetime | None]


class ApiKeyRow(Row):
    """Who may use the HTTP API; the key itself is not kept."""

    __tablename__ = "api_keys"

    #: The part of the key that may be shown, so that people recognise it.
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(Names)
    #: SHA-256 of the key's secret, in hexadecimal.
    secret_sha256: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=moment())
    #: To the minute; None where it never was used.
    last_used_at: Mapped[datetime | None]
    #: From then on it opens nothing; None while it does.
    revoked_at: Mapped[datetime | None]


class ReviewerRow(Row):
    """An account at the review desk."""

    __tablename__ = "reviewers"
    __table_args__ = (
        CheckConstraint("role IN ('reviewer', 'lead', 'admin')", name="ck_reviewers_role"),
        CheckConstraint("severe_per_day >= 0", name="ck_reviewers_severe_per_day"),
    )

    #: Without capitals: a short name, or what the single sign-on proxy calls the person.
    name: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str]
    #: Labels whose pictures this person is not shown.
    opt_outs: Mapped[list[str]] = mapped_column(Names)
    #: Severe pictures a day at most; None for no limit.
    severe_per_day: Mapped[int | None]
    #: argon2id; None for whom only the single sign-on proxy lets in.
    password_hash: Mapped[str | None]
    #: Whether pictures are shown at once, and not veiled until asked.
    shows_clear: Mapped[bool] = mapped_column(server_default=false())
    created_at: Mapped[datetime] = mapped_column(default=moment())
    #: From then on nothing opens; None while it does.
    disabled_at: Mapped[datetime | None]


class DeskSessionRow(Row):
    """A person who is signed in at the review desk."""

    __tablename__ = "desk_sessions"

    #: SHA-256 of the token in the browser's cookie, in hexadecimal.
    id: Mapped[str] = mapped_column(primary_key=True)
    reviewer: Mapped[str] = mapped_column(ForeignKey(ReviewerRow.name), index=True)
    #: Whether a single sign-on proxy vouches for it, and no password did.
    by_proxy: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(default=moment())
    #: To the minute.
    seen_at: Mapped[datetime]


class LoginFailureRow(Row):
    """A login that failed, or is being tried just now."""

    __tablename__ = "login_failures"
    __table_args__ = (
        Index(None, "name", "failed_at"),
        Index(None, "address", "failed_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    #: As it was typed; there need not be such an account.
    name: Mapped[str]
    #: The client's, as far as trusted proxies tell it.
    address: Mapped[str]
    failed_at: Mapped[datetime] = mapped_column(index=True)


class DroppedMessageRow(Row):
    """A message that no worker could work on; the newest are kept for some days."""

    __tablename__ = "dropped_messages"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    reason: Mapped[str]
    problem: Mapped[str]
    #: The beginning of its text, without what is secret in URLs.
    excerpt: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    dropped_at: Mapped[datetime] = mapped_column(index=True)


class DeskKeyRow(Row):
    """A secret that all processes of a deployment sign with."""

    __tablename__ = "desk_keys"

    purpose: Mapped[str] = mapped_column(primary_key=True)
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(default=moment())


class LeaseRow(Row):
    """A task that several processes repeat, and until when one of them has it."""

    __tablename__ = "leases"

    task: Mapped[str] = mapped_column(primary_key=True)
    #: In the past if no process holds it.
    until: Mapped[datetime] = mapped_column(default=moment())
