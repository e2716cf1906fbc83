"""The tables as this version reads and writes them; `migrations/` creates and upgrades them."""

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

#: Every constraint has a name, so that a later migration can refer to it; a CHECK is named by hand.
_CONSTRAINT_NAMES: Final = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
}

#: Conditions of partial indexes, for queries too: a database uses the index only if a query repeats them.
UNDECIDED: Final = text("state = 'accepted'")
DELIVERED: Final = text("state = 'delivered'")
TRIED_AGAIN: Final = text("attempts > 1")
#: A version before 0017 leaves `published_at` and `waits_for` set on submissions that it decides.
QUEUED: Final = text("published_at IS NOT NULL AND publish_at IS NOT NULL")
TO_BE_PUBLISHED: Final = text("published_at IS NULL AND publish_at IS NOT NULL")
#: A claim pins the policy version, so a submission that waits for anything else has a digest.
WAITING_FOR_POLICY: Final = text("publish_at IS NOT NULL AND policy_digest IS NULL AND error IS NOT NULL")
WAITING: Final = text("waits_for IS NOT NULL AND publish_at IS NOT NULL")
PENDING: Final = text("state = 'pending'")
OPEN: Final = text("state = 'open'")
#: The order of the review queue, before the id.
URGENT_FIRST: Final = text("priority DESC")
#: Verdicts given by a person, not inherited.
GIVEN: Final = text("inherited_from IS NULL")


class Row(DeclarativeBase):
    """A row of any table."""

    metadata = MetaData(naming_convention=_CONSTRAINT_NAMES)
    type_annotation_map = {datetime: UtcDateTime, str: FreeText, Action: ActionName}  # noqa: RUF012 - SQLAlchemy's form


class SubmissionRow(Row):
    """The ledger: one row for each submission that was accepted over HTTP or reached a worker."""

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
        # Few submissions are undecided or retried; monitoring counts both every few seconds.
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
    #: What the platform calls it; empty if it sent nothing.
    reference: Mapped[str]
    #: Undecided: the requested policy, None for the workers' default. Refused before one was found: None.
    policy: Mapped[str | None]
    #: Undecided: as the producer sent it. Decided: None if the bytes were unavailable or not judged.
    sha256: Mapped[str | None]
    #: Where the picture is, as in the message; None if it came inside the message.
    source: Mapped[dict[str, Any] | None] = mapped_column(Names)
    #: What the platform gets back with the decision; None if it sent nothing.
    context: Mapped[dict[str, Any] | None] = mapped_column(Names)
    #: Where to send the decision; None for the default in the settings.
    callback: Mapped[dict[str, Any] | None] = mapped_column(Names)
    #: accepted, decided or refused.
    state: Mapped[str]
    #: Why it was refused, or why it is not judged yet; None otherwise.
    error: Mapped[str | None]
    #: Undecided: the unavailable resource that it waits for, as operators call it; None if it waits for none.
    waits_for: Mapped[str | None]
    #: Distinguishes it from another submission with the same id; None if it was recorded before 0004.
    fingerprint: Mapped[str | None]
    #: Undecided: the complete source, with the URL's query, which may sign it, or the bytes; NULL afterwards.
    pending_source: Mapped[dict[str, Any] | None] = mapped_column(Names)
    #: While a review is open: the complete source if `source` is not; NULL once it is settled.
    review_source: Mapped[dict[str, Any] | None] = mapped_column(Names)
    #: Undecided: when it is due to be published. If it is on the queue (`published_at`), a version before
    #: 0010 publishes it again then; this version does so only if its message was lost.
    publish_at: Mapped[datetime | None]
    #: Undecided: when its message was published; None if no message of it is known to be on the queue.
    published_at: Mapped[datetime | None]
    #: Undecided: when it is refused unless its policy is in force by then; None: it waits without a limit.
    refuse_at: Mapped[datetime | None]
    #: The policy version that claimed it last, and the only one that may decide it; None before 0010.
    policy_digest: Mapped[str | None]
    #: The name of the last request for a second judgement; None if there was none.
    again: Mapped[str | None]
    #: What accompanies the picture, such as its caption: personal data. None if nothing does, or if it was
    #: erased.
    text: Mapped[str | None]
    #: How often it was published again.
    published_again: Mapped[int] = mapped_column(server_default="0")
    #: How often a worker began to judge it, counted before the picture is read.
    attempts: Mapped[int] = mapped_column(server_default="0")
    #: How many of those attempts ended because the worker process died.
    crashes: Mapped[int] = mapped_column(server_default="0")
    #: The worker process that has claimed it, host:process-id:start; None if it is not claimed.
    claimed_by: Mapped[str | None]
    #: No other process claims it before then. Claimed: the end of the lease, which the holder renews. Not
    #: claimed: the end of the pause before the next attempt.
    claimed_until: Mapped[datetime | None]
    #: Counts the changes of what is in force: decisions, verdicts, reversals, refusals.
    sequence: Mapped[int] = mapped_column(server_default="0")
    #: The trace that it belongs to, in W3C format; None if the platform sent none.
    traceparent: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=moment())
    #: When its state last changed.
    updated_at: Mapped[datetime] = mapped_column(default=moment())


class SubmissionConflictRow(Row):
    """A submission that reused an id for another picture or policy; it was not judged."""

    __tablename__ = "submission_conflicts"
    __table_args__ = (UniqueConstraint("submission_id", "fingerprint"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    submission_id: Mapped[str] = mapped_column(ForeignKey(SubmissionRow.id))
    #: Of the second submission; the first one's is in `submissions`.
    fingerprint: Mapped[str]
    reference: Mapped[str]
    #: The requested policy; None for the workers' default.
    policy: Mapped[str | None]
    sha256: Mapped[str | None]
    #: Where its picture is; None if it came inside the message.
    source: Mapped[dict[str, Any] | None] = mapped_column(Names)
    created_at: Mapped[datetime] = mapped_column(default=moment(), index=True)


class SetAsideMessageRow(Row):
    """A message that no worker could record in the ledger, kept until it can be published again."""

    __tablename__ = "set_aside_messages"

    #: SHA-256 of the message, in hexadecimal.
    digest: Mapped[str] = mapped_column(primary_key=True)
    #: As in the message; not necessarily a valid id.
    submission_id: Mapped[str]
    #: The arguments of `moderation.check`, as JSON.
    message: Mapped[str]
    #: Why it failed last.
    error: Mapped[str]
    #: When it first failed.
    failing_since: Mapped[datetime]
    #: When it is published again.
    publish_at: Mapped[datetime] = mapped_column(index=True)


class PolicyVersionRow(Row):
    """The text of every policy that ever decided."""

    __tablename__ = "policy_versions"

    #: SHA-256 of what the policy decides by, in hexadecimal.
    digest: Mapped[str] = mapped_column(primary_key=True)
    #: The policy's name.
    name: Mapped[str]
    #: The file's text.
    text: Mapped[str]
    #: When a worker first put it in force.
    first_seen_at: Mapped[datetime] = mapped_column(default=moment())
    #: When a worker last put it in force; None if none has since this is recorded.
    last_in_force_at: Mapped[datetime | None]
    #: What the version has learned from verdicts; None if nothing.
    learned_digest: Mapped[str | None]


class LearnedStateRow(Row):
    """What a policy learned from verdicts: proposed, in force, or in force once."""

    __tablename__ = "learned_states"
    __table_args__ = (Index("ix_learned_states_policy_created_at", "policy", "created_at"),)

    #: SHA-256 of `state`, in hexadecimal.
    digest: Mapped[str] = mapped_column(primary_key=True)
    #: The policy's name.
    policy: Mapped[str]
    #: The version, without what it learned, for which it was proposed.
    policy_digest: Mapped[str]
    #: The model, its preprocessing and decoding; with others it does not apply.
    model_digest: Mapped[str]
    #: Examples, sample of the archive, head and calibration of each label; the embeddings are personal data.
    state: Mapped[bytes] = mapped_column(LargeBinary)
    #: The thresholds that follow from targets, by label: [review, block], each a score or null.
    thresholds: Mapped[dict[str, Any]] = mapped_column(Names)
    #: What was measured for the proposal, by label.
    figures: Mapped[dict[str, Any]] = mapped_column(Names)
    created_at: Mapped[datetime] = mapped_column(default=moment())


class LearnedChangeRow(Row):
    """A state that was put in force or taken back; the newest one of a policy applies."""

    __tablename__ = "learned_changes"
    __table_args__ = (Index("ix_learned_changes_policy_id", "policy", "id"),)

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    #: The policy's name.
    policy: Mapped[str]
    #: The state in force from now on; None: the policy as its file says.
    learned_digest: Mapped[str | None] = mapped_column(ForeignKey(LearnedStateRow.digest))
    #: Who changed it.
    author: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=moment())


class PolicyStateRow(Row):
    """The state of each policy file in each worker process, for `moderate policy status`."""

    __tablename__ = "policy_states"

    #: host:process-id:start.
    process: Mapped[str] = mapped_column(primary_key=True)
    #: The name of the file, without `.yaml`.
    policy: Mapped[str] = mapped_column(primary_key=True)
    #: The version in force in this process; None if no version was ever valid.
    digest: Mapped[str | None]
    #: Whether the version in force is a shadow policy, which decides nothing.
    shadow: Mapped[bool]
    #: When the process put the version in force.
    in_force_since: Mapped[datetime | None]
    #: When the file's latest version was refused; None if it was accepted.
    refused_at: Mapped[datetime | None]
    #: Why the file's latest version was refused; None if it was accepted.
    refusal: Mapped[str | None]
    #: When the process last reported.
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
    #: The model's name in the settings.
    model: Mapped[str]
    #: SHA-256 of the model's weights and preprocessing, in hexadecimal.
    model_digest: Mapped[str]
    #: allow, review or block: what the policy decided, before any verdict.
    action: Mapped[Action]
    #: The flagged labels, gravest first.
    labels: Mapped[list[str]] = mapped_column(Names)
    #: The gravest flagged label's severity, 1 to 5; 0 if none is flagged.
    severity: Mapped[int]
    #: Why, in a sentence for people.
    reason: Mapped[str]
    #: SHA-256 of the picture's bytes, in hexadecimal; None if it could not be judged.
    sha256: Mapped[str | None]
    #: The picture's format, such as JPEG; None if it could not be judged.
    format: Mapped[str | None]
    #: Pixels; None if it could not be judged.
    width: Mapped[int | None]
    #: Pixels; None if it could not be judged.
    height: Mapped[int | None]
    #: Frames of the animation, 1 for a still picture; None if it could not be judged.
    frames: Mapped[int | None]
    #: Squares along the long side of each frame that were judged. None if the picture was not judged, or if
    #: the decision is older than the column.
    parts: Mapped[int | None]
    #: Share of the picture's area that the parts cover. None like `parts`.
    area_share: Mapped[float | None]
    #: Share of an animation's display time that the judged frames cover. None like `parts`.
    time_share: Mapped[float | None]
    #: Whether it would have been a block if the hour's automatic blocks had not been used up.
    held_back: Mapped[bool] = mapped_column(server_default=false())
    #: The probability with which the audit samples this allowed picture; None if there was no sampling.
    audit_probability: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(default=moment())


class LabelScoreRow(Row):
    """One label's score within a decision, and the two phrases that produced it."""

    __tablename__ = "label_scores"
    __table_args__ = (
        CheckConstraint("score BETWEEN 0 AND 1", name="ck_label_scores_score"),
        # Few scores are flagged, and people search for those.
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
    #: The label's name.
    label: Mapped[str]
    #: Whether the score reached a threshold of the label.
    flagged: Mapped[bool]
    #: 0 to 1: how clearly the label's prompts beat the harmless phrases.
    score: Mapped[float]
    #: The prompt that is most similar to the picture.
    prompt: Mapped[str]
    #: Cosine similarity of picture and prompt.
    prompt_cosine: Mapped[float]
    #: The harmless phrase that is most similar to the picture.
    background: Mapped[str]
    #: Cosine similarity of picture and harmless phrase.
    background_cosine: Mapped[float]
    #: Of the view with the highest score: the frame of the animation, from 0.
    frame: Mapped[int]
    #: Whether a transparent picture was on a black page. None if the decision is older than the column.
    on_black: Mapped[bool | None]
    #: The square along the picture's long side, from 0.
    part: Mapped[int] = mapped_column(server_default=text("0"))
    #: What the submission's text added to the label's logit; 0 if it added nothing.
    text_added: Mapped[float] = mapped_column(server_default=text("0"))


class EmbeddingRow(Row):
    """A model's embeddings of a picture, by the digest of its bytes; personal data."""

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
    #: Numbers in a vector.
    dimension: Mapped[int]
    #: float16, little-endian, shape (views, dimension).
    vectors: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(default=moment())


class CaptionVectorRow(Row):
    """A model's embedding of a submission's text; personal data, like the text."""

    __tablename__ = "caption_vectors"

    submission_id: Mapped[str] = mapped_column(ForeignKey(SubmissionRow.id), primary_key=True)
    model_digest: Mapped[str] = mapped_column(primary_key=True)
    #: float16, little-endian.
    vector: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(default=moment())


class TextVectorRow(Row):
    """A model's embedding of a phrase in a template."""

    __tablename__ = "text_vectors"

    #: SHA-256 of the phrase in its template, in hexadecimal.
    text_sha256: Mapped[str] = mapped_column(primary_key=True)
    model_digest: Mapped[str] = mapped_column(primary_key=True)
    #: float32, little-endian.
    vector: Mapped[bytes] = mapped_column(LargeBinary)
    #: When a worker last used it, to the day.
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
        # One review of a kind for each decision; only a golden item is asked of many people.
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
        # In the order in which reviews are handed out.
        Index("ix_reviews_order", "state", URGENT_FIRST, "id"),
        Index("ix_reviews_order_in_queue", "queue", "state", URGENT_FIRST, "id"),
        Index("ix_reviews_order_of_kind", "kind", "state", URGENT_FIRST, "id"),
        # Most reviews are settled; monitoring counts the open ones every few seconds.
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
    #: Why a person is asked: a value of `ReviewKind`.
    kind: Mapped[str] = mapped_column(server_default="decision")
    #: Withdrawn: the cause of the review was reversed.
    state: Mapped[str]
    #: Larger first.
    priority: Mapped[float]
    #: The queue that the policy routes it to.
    queue: Mapped[str] = mapped_column(server_default="default")
    #: When a person should have answered; None if the policy sets no deadline.
    deadline_at: Mapped[datetime | None]
    #: Whether only a lead may answer.
    for_lead: Mapped[bool] = mapped_column(server_default=false())
    #: Why it was escalated; None if it was not.
    escalation: Mapped[str | None]
    #: Golden: the item with the known answer.
    golden_id: Mapped[int | None] = mapped_column(Identifier, ForeignKey("golden_items.id"))
    #: Golden: the one person it is asked of.
    meant_for: Mapped[str | None]
    #: The person who has claimed it; None if it is free.
    claimed_by: Mapped[str | None]
    #: The end of the lease unless they renew it; None if it is free.
    claimed_until: Mapped[datetime | None]
    #: Fencing token: each claim increments it, and an answer with an older number is rejected.
    fence: Mapped[int] = mapped_column(server_default="0")
    #: When the source was found to have other bytes than those that were judged; None if it was not.
    picture_changed_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=moment())


class ReviewSkipRow(Row):
    """A review that a person skipped: it comes last for them."""

    __tablename__ = "review_skips"

    review_id: Mapped[int] = mapped_column(Identifier, ForeignKey(ReviewRow.id), primary_key=True)
    #: The person's name.
    reviewer: Mapped[str] = mapped_column(primary_key=True)
    #: Why.
    reason: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=moment())


class GoldenItemRow(Row):
    """A decision whose true answer is known; mixed into the queue to measure how well people judge."""

    __tablename__ = "golden_items"
    __table_args__ = (
        CheckConstraint("action IN ('allow', 'block')", name="ck_golden_items_action"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    decision_id: Mapped[int] = mapped_column(Identifier, ForeignKey(DecisionRow.id), unique=True)
    #: The queue that it is mixed into.
    queue: Mapped[str]
    #: The known answer.
    action: Mapped[Action]
    #: The labels that truly apply.
    labels: Mapped[list[str]] = mapped_column(Names)
    #: The name of the person who added it.
    added_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=moment())
    #: When it was retired, and is no longer asked; None while it is active.
    retired_at: Mapped[datetime | None]


class ShadowDecisionRow(Row):
    """What a shadow policy would have decided; in a separate table, since nothing may act on it."""

    __tablename__ = "shadow_decisions"
    __table_args__ = (
        UniqueConstraint("submission_id", "policy_digest"),
        CheckConstraint("action IN ('allow', 'review', 'block')", name="ck_shadow_decisions_action"),
        Index(None, "policy", "created_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    submission_id: Mapped[str] = mapped_column(ForeignKey(SubmissionRow.id))
    #: The decision of the policy in force.
    decision_id: Mapped[int] = mapped_column(Identifier, ForeignKey(DecisionRow.id), index=True)
    policy: Mapped[str]
    policy_digest: Mapped[str] = mapped_column(ForeignKey(PolicyVersionRow.digest))
    #: What it would have decided.
    action: Mapped[Action]
    #: The flagged labels, gravest first.
    labels: Mapped[list[str]] = mapped_column(Names)
    #: The gravest flagged label's severity, 1 to 5; 0 if none is flagged.
    severity: Mapped[int]
    #: Why, in a sentence for people.
    reason: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=moment())


class LabelActivityRow(Row):
    """What a policy version did with the uploads of an hour; a sum, which outlives its decisions."""

    __tablename__ = "label_activity"

    #: The start of the hour.
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    policy_digest: Mapped[str] = mapped_column(primary_key=True)
    #: The policy's name.
    policy: Mapped[str]
    #: Pictures that it judged.
    uploads: Mapped[int] = mapped_column(BigInteger)
    #: The labels that were seen.
    labels: Mapped[list[str]] = mapped_column(Names)
    #: uint32, little-endian, shape (labels, 21): how often each was flagged, then a histogram of its scores.
    #: Bins are one unit of the score's logit wide, from -9 to 9, with an open bin at each end.
    counts: Mapped[bytes] = mapped_column(LargeBinary)


class VerdictRow(Row):
    """A person's answer to a review: the truth about the picture; rows are added, never changed."""

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
    #: The decision that the person judged.
    decision_id: Mapped[int] = mapped_column(Identifier, ForeignKey(DecisionRow.id), index=True)
    #: The review that it answers; None if it is inherited, or older than the queue.
    review_id: Mapped[int | None] = mapped_column(Identifier, ForeignKey(ReviewRow.id))
    #: What the person decided: allow or block.
    action: Mapped[Action]
    #: The labels that truly apply, including those the model missed.
    labels: Mapped[list[str]] = mapped_column(Names)
    #: The person's name.
    reviewer: Mapped[str]
    #: Why, for the platform; None if the person gave none, and the policy requires none.
    reason: Mapped[str | None]
    #: For colleagues only.
    note: Mapped[str | None]
    #: Identifies the verdicts that one submit gave for a group of pictures.
    given_with: Mapped[str | None]
    #: The verdict about the same bytes that this one repeats.
    inherited_from: Mapped[int | None] = mapped_column(Identifier, ForeignKey("verdicts.id"))
    #: What the person judged: the decision's bytes and policy version, copied for the index.
    #: None if it is inherited, if the person saw other bytes or none, if the submission's text added to a
    #: flagged score, or if a version before 0016 wrote it.
    sha256: Mapped[str | None]
    policy_digest: Mapped[str | None]
    #: Whether it decides about the submission; a blind second look and a golden item only measure.
    effective: Mapped[bool] = mapped_column(server_default=true())
    #: Whether the person saw the bytes that were judged. If not, the answer is about this submission only:
    #: nothing inherits it, and no policy or person is measured by it.
    picture_seen: Mapped[bool] = mapped_column(server_default=true())
    created_at: Mapped[datetime] = mapped_column(default=moment(), index=True)


class ReversalRow(Row):
    """The reversal of a verdict, which no longer counts."""

    __tablename__ = "reversals"

    #: The verdict that no longer counts.
    verdict_id: Mapped[int] = mapped_column(Identifier, ForeignKey(VerdictRow.id), primary_key=True)
    #: The name of the person who reversed it.
    reviewer: Mapped[str]
    #: Why; None if the person gave no reason.
    reason: Mapped[str | None]
    #: What is in force about the submission after the reversal.
    action: Mapped[Action]
    created_at: Mapped[datetime] = mapped_column(default=moment())


class AppealRow(Row):
    """An appeal against a decision, made by the platform for the person affected."""

    __tablename__ = "appeals"
    __table_args__ = (
        CheckConstraint("appealed_action IN ('allow', 'block')", name="ck_appeals_appealed_action"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    #: A decision can be appealed once.
    decision_id: Mapped[int] = mapped_column(Identifier, ForeignKey(DecisionRow.id), unique=True)
    review_id: Mapped[int] = mapped_column(Identifier, ForeignKey(ReviewRow.id), unique=True)
    #: In the appellant's words; empty if they gave none.
    statement: Mapped[str]
    #: What was in force when the appeal was made.
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
    #: When.
    at: Mapped[datetime] = mapped_column(default=moment(), index=True)
    #: The person's name.
    actor: Mapped[str]
    #: review.claimed, verdict.made and the like: see `store/reviews/audit_log.py`.
    what: Mapped[str]
    #: No foreign keys: an entry outlives its object.
    review_id: Mapped[int | None] = mapped_column(Identifier)
    submission_id: Mapped[str | None]
    #: What belongs to the entry, such as the answer and what was shown.
    details: Mapped[dict[str, Any]] = mapped_column(Names)


class OutboxRow(Row):
    """An event to deliver to the platform; written in the transaction of the change it reports."""

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
    #: The event's id for the platform, which deduplicates by it: delivery is at least once.
    event_id: Mapped[str] = mapped_column(unique=True)
    #: decision.made, submission.refused, verdict.made, verdict.reversed or appeal.answered.
    kind: Mapped[str]
    submission_id: Mapped[str] = mapped_column(ForeignKey(SubmissionRow.id), index=True)
    #: None if the submission was refused.
    decision_id: Mapped[int | None] = mapped_column(Identifier, ForeignKey(DecisionRow.id))
    #: Why the submission was refused; None if it is about a decision.
    problem: Mapped[str | None]
    #: The verdict that was made, reversed, or answers the appeal; None if it is about a decision.
    verdict_id: Mapped[int | None] = mapped_column(Identifier, ForeignKey(VerdictRow.id))
    #: The submission's sequence number after the event; None if a version before 0011 wrote it.
    sequence: Mapped[int | None]
    #: What is in force after the event; None if nothing is, or if a version before 0011 wrote it.
    action: Mapped[Action | None]
    #: Who decided what is in force: policy, reviewer, appeal or inherited_verdict.
    decided_by: Mapped[str | None]
    #: The target: `{"url"}`, or `{"task", "queue"}`.
    callback: Mapped[dict[str, Any]] = mapped_column(Names)
    #: The target's host, or `celery`; one receiver that hangs must not delay the others.
    receiver: Mapped[str]
    #: pending, delivered or given_up.
    state: Mapped[str]
    #: How often delivery was attempted.
    attempts: Mapped[int] = mapped_column(server_default="0")
    #: Pending: when the next attempt is due or, during an attempt, when its lease ends.
    next_attempt_at: Mapped[datetime | None]
    #: Why the last attempt failed; None if none has.
    error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=moment())
    #: When it was added or last replayed; the time after which it is given up counts from then.
    started_at: Mapped[datetime]
    #: When it was delivered or given up.
    settled_at: Mapped[datetime | None]


class ApiKeyRow(Row):
    """A key for the HTTP API, of which only a hash is stored."""

    __tablename__ = "api_keys"

    #: The public part of the key, by which people recognise it.
    id: Mapped[str] = mapped_column(primary_key=True)
    #: Who holds it.
    name: Mapped[str]
    #: What it allows.
    scopes: Mapped[list[str]] = mapped_column(Names)
    #: SHA-256 of the key's secret, in hexadecimal.
    secret_sha256: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=moment())
    #: To the minute; None if it was never used.
    last_used_at: Mapped[datetime | None]
    #: None while it is valid.
    revoked_at: Mapped[datetime | None]


class ReviewerRow(Row):
    """An account at the review desk."""

    __tablename__ = "reviewers"
    __table_args__ = (
        CheckConstraint("role IN ('reviewer', 'lead', 'admin')", name="ck_reviewers_role"),
        CheckConstraint("severe_per_day >= 0", name="ck_reviewers_severe_per_day"),
    )

    #: Lower-case: a short name, or the person's name at the single sign-on proxy.
    name: Mapped[str] = mapped_column(primary_key=True)
    #: reviewer, lead or admin.
    role: Mapped[str]
    #: Labels whose pictures this person is not shown.
    opt_outs: Mapped[list[str]] = mapped_column(Names)
    #: Severe pictures a day at most; None for no limit.
    severe_per_day: Mapped[int | None]
    #: argon2id; None if the person signs in only through the single sign-on proxy.
    password_hash: Mapped[str | None]
    #: Whether pictures are shown at once, not veiled until the person unveils them.
    shows_clear: Mapped[bool] = mapped_column(server_default=false())
    created_at: Mapped[datetime] = mapped_column(default=moment())
    #: None while the account is enabled.
    disabled_at: Mapped[datetime | None]


class DeskSessionRow(Row):
    """A session at the review desk."""

    __tablename__ = "desk_sessions"

    #: SHA-256 of the token in the browser's cookie, in hexadecimal.
    id: Mapped[str] = mapped_column(primary_key=True)
    #: The person who is signed in.
    reviewer: Mapped[str] = mapped_column(ForeignKey(ReviewerRow.name), index=True)
    #: Whether the single sign-on proxy authenticated the person, not a password.
    by_proxy: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(default=moment())
    #: When it was last used, to the minute.
    seen_at: Mapped[datetime]


class LoginFailureRow(Row):
    """A login that failed, or is being attempted now."""

    __tablename__ = "login_failures"
    __table_args__ = (
        Index(None, "name", "failed_at"),
        Index(None, "address", "failed_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    #: As it was typed; the account may not exist.
    name: Mapped[str]
    #: The client's, as trusted proxies report it.
    address: Mapped[str]
    #: When.
    failed_at: Mapped[datetime] = mapped_column(index=True)


class DroppedMessageRow(Row):
    """A message that no worker could process; the newest are kept for some days."""

    __tablename__ = "dropped_messages"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    #: Why, in a word: the label of the metric.
    reason: Mapped[str]
    #: Why, in a sentence.
    problem: Mapped[str]
    #: The beginning of its text, without the secrets in URLs.
    excerpt: Mapped[str]
    #: Size of the whole message.
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    #: When.
    dropped_at: Mapped[datetime] = mapped_column(index=True)


class DeskKeyRow(Row):
    """A secret shared by all processes of a deployment."""

    __tablename__ = "desk_keys"

    #: What the secret is for.
    purpose: Mapped[str] = mapped_column(primary_key=True)
    #: Random bytes.
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(default=moment())


class LeaseRow(Row):
    """The lease of a periodic task, which one process at a time runs."""

    __tablename__ = "leases"

    #: The task's name.
    task: Mapped[str] = mapped_column(primary_key=True)
    #: The end of the lease; in the past if no process holds it.
    until: Mapped[datetime] = mapped_column(default=moment())
