"""Submissions: the ledger of what was accepted or reached a worker, and how it ended."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from worker.domain.callback import callback_record
from worker.domain.fingerprint import fingerprint
from worker.domain.submission import Submission
from worker.store.clock import database_now
from worker.store.column_types import utc_now
from worker.store.inserting import insert_into
from worker.store.tables import DecisionRow, SubmissionRow

#: What was put on the queue and is not decided after this long is put there again, then after twice as long.
PATIENCE: Final = timedelta(minutes=1)
#: However often it was, it is not left alone for longer than this.
MAX_PATIENCE: Final = timedelta(hours=1)

#: Whatever is not decided can still be.
_OPEN: Final = ("accepted", "refused")


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What the ledger says about a submission."""

    id: str
    reference: str
    policy: str | None
    sha256: str | None
    #: As the message said it, a URL without its query; None where the picture came inside the message.
    source: dict[str, Any] | None
    context: dict[str, Any] | None
    #: accepted, decided or refused.
    state: str
    error: str | None
    fingerprint: str | None
    #: In UTC.
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class PendingSubmission:
    """An accepted submission, whole enough to be published."""

    id: str
    #: The form of a message's source.
    source: dict[str, Any]
    policy: str | None
    reference: str
    sha256: str | None
    context: dict[str, Any] | None
    callback: dict[str, Any] | None


def accept(
    session: Session,
    submission: Submission,
    source: Mapping[str, Any] | None,
    pending_source: Mapping[str, Any],
) -> bool:
    """Note that `submission` waits to be decided; return False where it is known already.

    `source` says where the picture is, fit to be read; `pending_source` says it whole. One that was refused
    is accepted anew, whatever it was.
    """
    now = utc_now()
    columns = {
        "state": "accepted",
        "reference": submission.reference,
        "policy": submission.policy,
        "sha256": submission.sha256,
        "source": source,
        "context": submission.context,
        "callback": callback_record(submission.callback),
        "error": None,
        "fingerprint": fingerprint(submission),
        "pending_source": pending_source,
        "publish_at": now + PATIENCE,
        "published_again": 0,
        "updated_at": now,
    }
    row = insert_into(session, SubmissionRow, **columns, id=submission.id)
    anew = row.on_conflict_do_update(
        index_elements=[SubmissionRow.id], set_=columns, where=SubmissionRow.state == "refused"
    )
    return session.scalar(anew.returning(SubmissionRow.id)) is not None


def find(session: Session, submission_id: str) -> LedgerEntry | None:
    """Return what is known about a submission."""
    row = session.get(SubmissionRow, submission_id)
    if row is None:
        return None
    return LedgerEntry(
        id=row.id,
        reference=row.reference,
        policy=row.policy,
        sha256=row.sha256,
        source=row.source,
        context=row.context,
        state=row.state,
        error=row.error,
        fingerprint=row.fingerprint,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def is_open(session: Session, submission_id: str) -> bool:
    """Whether a submission is accepted, and neither decided nor refused yet."""
    decided = exists().where(DecisionRow.submission_id == SubmissionRow.id)
    query = select(SubmissionRow.id).where(
        SubmissionRow.id == submission_id, SubmissionRow.state == "accepted", ~decided
    )
    return session.scalar(query) is not None


def publish_soon(session: Session, ids: Iterable[str]) -> None:
    """Let accepted submissions be published at the next occasion: they are not on the queue."""
    _update_accepted(session, ids, publish_at=utc_now())


def take_due(session: Session, limit: int) -> list[PendingSubmission]:
    """Return accepted submissions that are due to be published again, at most `limit`.

    Each is counted, and nobody else gets it before another pause twice as long as the last is over.
    """
    now = database_now(session)
    query = (
        select(SubmissionRow)
        .where(SubmissionRow.state == "accepted", SubmissionRow.publish_at <= now)
        .order_by(SubmissionRow.publish_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = session.scalars(query).all()
    for row in rows:
        row.published_again += 1
        # Beyond this power the pause is the longest in any case.
        row.publish_at = now + min(PATIENCE * 2 ** min(row.published_again, 10), MAX_PATIENCE)
    return [
        PendingSubmission(
            row.id, row.pending_source or {}, row.policy, row.reference, row.sha256, row.context, row.callback
        )
        for row in rows
    ]


def give_back(session: Session, ids: Sequence[str]) -> None:
    """Take back what `take_due` noted: these could not be published after all."""
    _update_accepted(session, ids, publish_at=utc_now(), published_again=SubmissionRow.published_again - 1)


def record(
    session: Session,
    submission: Submission,
    *,
    policy: str,
    sha256: str | None,
    source: Mapping[str, Any] | None,
) -> None:
    """Note that `submission` is decided; one that was accepted or refused before is no longer.

    `policy` is the name of the policy that decides, `sha256` the digest of the bytes where they could be
    had, `source` says where they are, None where they came with the message.
    """
    outcome = {
        "state": "decided",
        "reference": submission.reference,
        "policy": policy,
        "sha256": sha256,
        "source": source,
        "context": submission.context,
        "callback": callback_record(submission.callback),
        "error": None,
        "updated_at": utc_now(),
    }
    _settle(session, submission.id, outcome, fingerprint=fingerprint(submission))


def refuse(session: Session, submission_id: str, error: str) -> None:
    """Note that no policy can decide a submission, unless one has."""
    _settle(session, submission_id, {"state": "refused", "error": error, "updated_at": utc_now()})


def refused(session: Session, limit: int) -> list[tuple[str, str]]:
    """Return the ids of refused submissions and why, newest first."""
    query = (
        select(SubmissionRow.id, SubmissionRow.error)
        .where(SubmissionRow.state == "refused")
        .order_by(SubmissionRow.updated_at.desc())
        .limit(limit)
    )
    return [(submission_id, error or "") for submission_id, error in session.execute(query)]


def named(session: Session, name: str, limit: int) -> list[str]:
    """Return the submission with this id, else at most `limit` with this reference, newest first."""
    if session.get(SubmissionRow, name):
        return [name]
    query = (
        select(SubmissionRow.id)
        .where(SubmissionRow.reference == name)
        .order_by(SubmissionRow.created_at.desc())
        .limit(limit)
    )
    return list(session.scalars(query))


def _settle(
    session: Session, submission_id: str, outcome: Mapping[str, object], **only_where_new: object
) -> None:
    """Write how a submission ended, and forget what was kept to publish it and who had it in hand."""
    settled = {
        **outcome,
        **dict.fromkeys(("pending_source", "publish_at", "claimed_by", "claimed_until")),
    }
    row = {"reference": "", **settled, **only_where_new, "id": submission_id}
    session.execute(
        insert_into(session, SubmissionRow, **row).on_conflict_do_update(
            index_elements=[SubmissionRow.id], set_=settled, where=SubmissionRow.state.in_(_OPEN)
        )
    )


def _update_accepted(session: Session, ids: Iterable[str], **values: object) -> None:
    session.execute(
        update(SubmissionRow)
        .where(SubmissionRow.id.in_(list(ids)), SubmissionRow.state == "accepted")
        .values(**values)
        .execution_options(synchronize_session=False)
    )
