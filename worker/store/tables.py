"""The tables as this version reads and writes them; `migrations/` is how a database gets there."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from worker.domain.policy import Action
from worker.store.column_types import ActionName, FreeText, Identifier, Names, UtcDateTime, utc_now

#: Every constraint has a name, so that a later migration can name it too; a CHECK is given its own.
_CONSTRAINT_NAMES: Final = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
}


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
    )

    #: The producer's idempotency key.
    id: Mapped[str] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(index=True)
    #: Accepted: the policy asked for, None for the workers' default. Refused before one was found: None.
    policy: Mapped[str | None]
    #: Accepted: the digest that was promised. Decided: None where the bytes could not be had or judged.
    sha256: Mapped[str | None]
    #: Where the picture is, as the message said it; None where it came inside the message.
    source: Mapped[dict[str, Any] | None] = mapped_column(Names)
    #: What the platform wants back beside the decision; None where it gave nothing.
    context: Mapped[dict[str, Any] | None] = mapped_column(Names)
    #: Where the platform wants to hear of the decision; None leaves it to the settings.
    callback: Mapped[dict[str, Any] | None] = mapped_column(Names)
    state: Mapped[str]
    #: Why it was refused; None where it was not.
    error: Mapped[str | None]
    #: What tells it from another submission with the same id; None where it was recorded before 0004.
    fingerprint: Mapped[str | None]
    #: Undecided: the source whole, with the query that may sign it or the bytes; emptied with the outcome.
    pending_source: Mapped[dict[str, Any] | None] = mapped_column(Names)
    #: Undecided: when it is put on the queue again, unless it is decided by then.
    publish_at: Mapped[datetime | None]
    #: How often it was put on the queue again.
    published_again: Mapped[int] = mapped_column(server_default="0")
    #: How often a worker began to judge it, counted before the picture is touched.
    attempts: Mapped[int] = mapped_column(server_default="0")
    #: How many of those attempts ended with the death of the worker's process.
    crashes: Mapped[int] = mapped_column(server_default="0")
    #: The worker process that has it in hand, host:process-id:start, and until when unless it renews; both
    #: None where none has.
    claimed_by: Mapped[str | None]
    claimed_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)


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
    created_at: Mapped[datetime] = mapped_column(default=utc_now, index=True)


class PolicyVersionRow(Row):
    """The text of every policy that ever decided."""

    __tablename__ = "policy_versions"

    digest: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    text: Mapped[str]
    first_seen_at: Mapped[datetime] = mapped_column(default=utc_now)
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
    #: Whether it would have been a block, had the hour's automatic blocks not been used up.
    held_back: Mapped[bool] = mapped_column(server_default=false())
    #: The chance with which this allowed picture was to be drawn for the audit; None where none was drawn.
    audit_probability: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


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
    frame: Mapped[int]


class EmbeddingRow(Row):
    """What a model saw in a picture: personal data, found by the digest of the bytes."""

    __tablename__ = "embeddings"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    model_digest: Mapped[str] = mapped_column(primary_key=True)
    format: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    frames: Mapped[int]
    dimension: Mapped[int]
    #: float16, little-endian, shape (frames, dimension); twice the frames where two pages were looked at.
    vectors: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(default=utc_now, index=True)


class ReviewRow(Row):
    """An open question for a person; the queue."""

    __tablename__ = "reviews"
    __table_args__ = (
        UniqueConstraint("decision_id"),
        CheckConstraint("state IN ('open', 'settled')", name="ck_reviews_state"),
        CheckConstraint("kind IN ('decision', 'audit', 'quarantine')", name="ck_reviews_kind"),
        Index(None, "state", "priority"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    decision_id: Mapped[int] = mapped_column(Identifier, ForeignKey(DecisionRow.id))
    #: Why a person is asked: the policy's decision, the audit of what was allowed, or a picture that nobody
    #: could judge since workers died of it.
    kind: Mapped[str] = mapped_column(server_default="decision")
    state: Mapped[str]
    #: Larger first.
    priority: Mapped[float]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


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
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class VerdictRow(Row):
    """A person's answer to a review: what the picture truly is."""

    __tablename__ = "verdicts"
    __table_args__ = (
        CheckConstraint("action IN ('allow', 'block')", name="ck_verdicts_action"),
        Index(None, "submission_id", "created_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    submission_id: Mapped[str] = mapped_column(ForeignKey(SubmissionRow.id))
    #: The decision that the person looked at.
    decision_id: Mapped[int] = mapped_column(Identifier, ForeignKey(DecisionRow.id), index=True)
    action: Mapped[Action]
    #: The labels that truly apply, those the model missed too.
    labels: Mapped[list[str]] = mapped_column(Names)
    reviewer: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=utc_now, index=True)


class OutboxRow(Row):
    """What the platform is to be told; written in the transaction of what happened."""

    __tablename__ = "outbox"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'delivered', 'given_up')", name="ck_outbox_state"),
        Index(None, "state", "next_attempt_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Identifier, primary_key=True)
    #: Names the event to the platform, which may hear of it more than once.
    event_id: Mapped[str] = mapped_column(unique=True)
    #: What happened: decision.made.
    kind: Mapped[str]
    submission_id: Mapped[str] = mapped_column(ForeignKey(SubmissionRow.id), index=True)
    decision_id: Mapped[int] = mapped_column(Identifier, ForeignKey(DecisionRow.id))
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
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
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
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    #: To the minute; None where it never was used.
    last_used_at: Mapped[datetime | None]
    #: From then on it opens nothing; None while it does.
    revoked_at: Mapped[datetime | None]
