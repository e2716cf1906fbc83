"""Submissions: the ledger of what was accepted or reached a worker, and how it ended."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from sqlalchemy import ColumnElement, case, exists, select
from sqlalchemy.orm import Session

from worker.domain.callback import callback_record
from worker.domain.fingerprint import fingerprint
from worker.domain.submission import Submission
from worker.errors import UsageError
from worker.store import clock
from worker.store.column_types import utc_now
from worker.store.inserting import insert_into
from worker.store.tables import DecisionRow, SubmissionRow
from worker.store.updating import update_submissions

#: What was put on the queue and is in nobody's hand after this long is put there again, then after twice as
#: long, and so on, but at least once in the longest of these.
PATIENCE: Final = timedelta(minutes=1)
LONGEST_PATIENCE: Final = timedelta(hours=1)

#: Of those that have one reference, so many are named.
_MAX_NAMED: Final = 20
#: What a submission that has an outcome needs no longer.
_SETTLED: Final[dict[str, None]] = dict.fromkeys(
    ("pending_source", "publish_at", "claimed_by", "claimed_until")
)


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


class Recorded(Protocol):
    """What the ledger knows of a submission's identity."""

    @property
    def fingerprint(self) -> str | None:
        """None where it was recorded before there were fingerprints."""

    @property
    def sha256(self) -> str | None:
        """The digest of the bytes, where it is known."""

    @property
    def source(self) -> dict[str, Any] | None:
        """Where its picture is; None where it came inside the message."""


@dataclass(frozen=True, slots=True)
class PendingSubmission:
    """An undecided submission, whole enough to be published."""

    id: str
    #: The form of a message's source.
    source: dict[str, Any]
    policy: str | None
    reference: str
    sha256: str | None
    context: dict[str, Any] | None
    callback: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Decided:
    """A submission that is decided, and by what."""

    submission: Submission
    #: The name of the policy that decides.
    policy: str
    #: The digest of the bytes; None where they could not be had.
    sha256: str | None
    #: Where they are; None where they came with the message.
    source: Mapping[str, Any] | None


def is_same(known: Recorded, submission: Submission, source: Mapping[str, Any] | None) -> bool:
    """Whether what the ledger knows by an id is this submission; `source` says where its picture is."""
    if known.fingerprint is not None:
        return known.fingerprint == fingerprint(submission)
    if known.sha256 and submission.sha256:
        return known.sha256 == submission.sha256
    return known.source is not None and known.source == source


def entry(
    submission: Submission, source: Mapping[str, Any] | None, pending_source: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the columns of a submission that waits to be decided, but for when it is published.

    `source` says where the picture is, fit to be read; `pending_source` says it whole.
    """
    return {
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
        "published_again": 0,
        "attempts": 0,
        "crashes": 0,
        "updated_at": utc_now(),
    }


def accept(
    session: Session,
    submission: Submission,
    source: Mapping[str, Any] | None,
    pending_source: Mapping[str, Any],
) -> bool:
    """Note that `submission` waits to be decided; return False where it is known already.

    One that was refused is accepted anew, whatever it was. `source` and `pending_source` as in `entry`.
    """
    columns = entry(submission, source, pending_source) | {"publish_at": clock.later(session, PATIENCE)}
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
    _update_unclaimed(session, ids, publish_at=clock.later(session))


def is_any_due(session: Session) -> bool:
    """Whether `take_due` would find anything; cheap, and in no writer's way."""
    # The time as a value: no index serves a comparison with a clock, which differs from row to row.
    return bool(
        session.scalar(select(exists().where(SubmissionRow.publish_at <= clock.database_now(session))))
    )


def take_due(session: Session, limit: int) -> list[PendingSubmission]:
    """Return undecided submissions that are due to be published again, at most `limit`.

    Each is counted, and nobody else gets it before a pause twice as long as the last is over.
    """
    query = (
        select(SubmissionRow)
        .where(SubmissionRow.publish_at <= clock.database_now(session))
        .order_by(SubmissionRow.publish_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = session.scalars(query).all()
    update_submissions(
        session,
        [row.id for row in rows],
        publish_at=after_patience(session),
        published_again=SubmissionRow.published_again + 1,
    )
    return [
        PendingSubmission(
            id=row.id,
            source=row.pending_source or {},
            policy=row.policy,
            reference=row.reference,
            sha256=row.sha256,
            context=row.context,
            callback=row.callback,
        )
        for row in rows
    ]


def give_back(session: Session, ids: Sequence[str]) -> None:
    """Take back what `take_due` noted: these could not be published after all."""
    _update_unclaimed(
        session, ids, publish_at=clock.later(session), published_again=SubmissionRow.published_again - 1
    )


def after_patience(session: Session) -> ColumnElement[datetime]:
    """Return when a submission is published again that was on the queue as often as its row says."""
    pauses: list[ColumnElement[datetime]] = []
    while (pause := PATIENCE * 2 ** len(pauses)) < LONGEST_PATIENCE:
        pauses.append(clock.later(session, pause))
    longest = clock.later(session, LONGEST_PATIENCE)
    return case(dict(enumerate(pauses)), value=SubmissionRow.published_again, else_=longest)


def record(session: Session, decided: Sequence[Decided]) -> None:
    """Note that these are decided; what was accepted or refused before is no longer."""
    # In one order, so that two workers who record the same ones never wait for each other.
    firsts = {one.submission.id: one for one in reversed(decided)}
    rows = [_decided_row(firsts[name]) for name in sorted(firsts)]
    written = _settle(session, rows, SubmissionRow.state != "decided")
    if before := {row["id"] for row in rows} - written:
        # Decided before, under another version of the policy: the first one's facts stay.
        update_submissions(session, before, **_SETTLED)


def refuse(session: Session, submission_id: str, error: str, *, of: str | None = None) -> None:
    """Note that no policy can decide a submission.

    `of` is its fingerprint, None where it could not even be read. What is accepted or decided under the same
    id and is something else stays what it is.
    """
    is_it = (SubmissionRow.state == "accepted") & (SubmissionRow.fingerprint == of)
    row = {"id": submission_id, "fingerprint": of, "state": "refused", "error": error}
    _settle(session, [row], (SubmissionRow.state == "refused") | is_it)


def abandon(session: Session, submission_id: str, error: str) -> None:
    """Stop publishing what cannot be read any more; it is refused, unless it was decided before."""
    is_accepted = SubmissionRow.state == "accepted"
    update_submissions(
        session,
        [submission_id],
        state=case((is_accepted, "refused"), else_=SubmissionRow.state),
        error=case((is_accepted, error), else_=SubmissionRow.error),
        updated_at=utc_now(),
        **_SETTLED,
    )


def close(session: Session, ids: Iterable[str]) -> None:
    """Move on what is decided: nobody has to publish or to judge it any more."""
    update_submissions(session, ids, state="decided", updated_at=utc_now(), **_SETTLED)


def refused(session: Session, limit: int) -> list[tuple[str, str]]:
    """Return the ids of refused submissions and why, newest first."""
    query = (
        select(SubmissionRow.id, SubmissionRow.error)
        .where(SubmissionRow.state == "refused")
        .order_by(SubmissionRow.updated_at.desc())
        .limit(limit)
    )
    return [(submission_id, error or "") for submission_id, error in session.execute(query)]


def named(session: Session, name: str) -> str | None:
    """Return the submission with this id, else the one with this reference; None where there is none.

    UsageError where several have the reference; it names the newest of them.
    """
    if session.get(SubmissionRow, name):
        return name
    query = (
        select(SubmissionRow.id)
        .where(SubmissionRow.reference == name)
        .order_by(SubmissionRow.created_at.desc())
        .limit(_MAX_NAMED)
    )
    found = list(session.scalars(query))
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} submissions have the reference {name!r}", hint=f"name one: {', '.join(found)}"
        )
    return found[0] if found else None


def _decided_row(decided: Decided) -> dict[str, Any]:
    submission = decided.submission
    return {
        "id": submission.id,
        "fingerprint": fingerprint(submission),
        "state": "decided",
        "reference": submission.reference,
        "policy": decided.policy,
        "sha256": decided.sha256,
        "source": decided.source,
        "context": submission.context,
        "callback": callback_record(submission.callback),
        "error": None,
    }


def _settle(session: Session, rows: Sequence[Mapping[str, Any]], where: ColumnElement[bool]) -> set[str]:
    """Write how submissions ended, where they are new or `where` holds; return the ids of those.

    `rows` all have the same columns; what a submission is, its fingerprint, stays.
    """
    if not rows:
        return set()
    settled = [{**row, **_SETTLED, "updated_at": utc_now()} for row in rows]
    insert = insert_into(session, SubmissionRow)
    anew = {name: insert.excluded[name] for name in settled[0].keys() - {"id", "fingerprint"}}
    upsert = insert.on_conflict_do_update(index_elements=[SubmissionRow.id], set_=anew, where=where)
    # Beside the session, which would ask for each row once more.
    written = session.connection().execute(
        upsert.returning(SubmissionRow.id), [{"reference": "", **row} for row in settled]
    )
    return set(written.scalars())


def _update_unclaimed(session: Session, ids: Iterable[str], **values: object) -> None:
    """Write where it is still undecided and in nobody's hand."""
    is_undecided, is_free = SubmissionRow.publish_at.is_not(None), SubmissionRow.claimed_by.is_(None)
    update_submissions(session, ids, is_undecided, is_free, **values)
