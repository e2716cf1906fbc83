"""Submissions: the ledger of what was accepted or reached a worker, and how it ended."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from moderation_client.callback import callback_record
from moderation_client.submission import Submission
from sqlalchemy import ColumnElement, case, exists, func, literal, select
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.elements import KeyedColumnElement

from worker.domain.submissions.fingerprint import fingerprint
from worker.errors import UsageError
from worker.store.engine.clock import database_now, moment
from worker.store.engine.inserting import insert_into
from worker.store.engine.tables import DecisionRow, SubmissionRow
from worker.store.engine.updating import update_submissions

#: How long a claim lasts unless it is renewed: three renewals fit into it.
LEASE: Final = timedelta(seconds=15)
#: A message that was put on the queue is not looked for before this long. A version before 0010 publishes it
#: again then, after twice as long, and so on, up to the longest of these.
PATIENCE: Final = timedelta(minutes=1)
LONGEST_PATIENCE: Final = timedelta(hours=1)
#: How long the first and every later look for a missing policy are apart.
POLICY_PAUSE: Final = timedelta(seconds=2)
LONGEST_POLICY_PAUSE: Final = timedelta(minutes=1)

_Columns = ReadOnlyColumnCollection[str, KeyedColumnElement[Any]]

#: Of those that have one reference, so many are named.
_MAX_NAMED: Final = 20
#: What a submission that has an outcome needs no longer.
_SETTLED: Final[dict[str, None]] = dict.fromkeys(
    ("pending_source", "publish_at", "published_at", "refuse_at", "claimed_by", "claimed_until", "waits_for")
)
#: A decided submission that waits for a second judgement, or is being judged again.
_AWAITS_SECOND: Final = (SubmissionRow.state == "decided") & SubmissionRow.publish_at.is_not(None)


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
    #: Why it was refused or, while it is accepted, why it waits.
    error: str | None
    fingerprint: str | None
    #: In UTC.
    created_at: datetime
    updated_at: datetime


class KnownSubmission(Protocol):
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
    again: str | None


@dataclass(frozen=True, slots=True)
class DecidedSubmission:
    """A submission that is decided, and by what."""

    submission: Submission
    #: The name of the policy that decides, and the digest of its version.
    policy: str
    policy_digest: str
    #: The digest of the bytes; None where they could not be had.
    sha256: str | None
    #: Where they are; None where they came with the message.
    source: Mapping[str, Any] | None


def is_same(known: KnownSubmission, submission: Submission, source: Mapping[str, Any] | None) -> bool:
    """Whether what the ledger knows by an id is this submission; `source` says where its picture is."""
    if known.fingerprint is not None:
        return known.fingerprint == fingerprint(submission)
    if known.sha256 and submission.sha256:
        return known.sha256 == submission.sha256
    return known.source is not None and known.source == source


def entry(
    submission: Submission, source: Mapping[str, Any] | None, pending_source: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the columns of a submission that waits to be decided, except its times.

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
        "published_at": None,
        "published_again": 0,
        "refuse_at": None,
        "policy_digest": None,
        "again": submission.again,
        "attempts": 0,
        "crashes": 0,
        "waits_for": None,
        "traceparent": submission.traceparent,
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
    columns = (
        entry(submission, source, pending_source)
        | _queued()
        | {"created_at": moment(), "updated_at": moment()}
    )
    row = insert_into(session, SubmissionRow, **columns, id=submission.id)
    anew = row.on_conflict_do_update(
        index_elements=[SubmissionRow.id], set_=columns, where=SubmissionRow.state == "refused"
    )
    return session.scalar(anew.returning(SubmissionRow.id)) is not None


def ask_again(
    session: Session,
    submission: Submission,
    source: Mapping[str, Any] | None,
    pending_source: Mapping[str, Any],
) -> bool:
    """Have a decided submission judged again; return False if that was asked before, or it is undecided.

    `submission.again` names the request; `source` and `pending_source` as in `entry`.
    """
    is_decided = (SubmissionRow.state == "decided") & SubmissionRow.publish_at.is_(None)
    is_new = SubmissionRow.again.is_distinct_from(submission.again)
    asked = update_submissions(
        session,
        [submission.id],
        is_decided,
        is_new,
        again=submission.again,
        # As the message says them: it is published from these, and the first decision overwrote them.
        policy=submission.policy,
        sha256=submission.sha256,
        source=source,
        pending_source=pending_source,
        policy_digest=None,
        attempts=SubmissionRow.crashes,
        published_again=0,
        updated_at=moment(),
        **_queued(),
    )
    return bool(asked)


def wait_for_policy(session: Session, submission_id: str) -> None:
    """Have an undecided submission wait for its policy as long as it takes."""
    has_limit = SubmissionRow.refuse_at.is_not(None)
    update_submissions(session, [submission_id], has_limit, refuse_at=None)


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


def traceparent(session: Session, submission_id: str) -> str | None:
    """Return the trace that a submission belongs to."""
    return session.scalar(select(SubmissionRow.traceparent).where(SubmissionRow.id == submission_id))


def is_open(session: Session, submission_id: str) -> bool:
    """Whether a submission waits for a decision, the first or one that was asked for."""
    decided = exists().where(DecisionRow.submission_id == SubmissionRow.id)
    waits_for_first = (SubmissionRow.state == "accepted") & ~decided
    query = select(SubmissionRow.id).where(
        SubmissionRow.id == submission_id, waits_for_first | _AWAITS_SECOND
    )
    return session.scalar(query) is not None


def publish_soon(session: Session, ids: Iterable[str]) -> None:
    """Let accepted submissions be published at the next occasion: they are not on the queue."""
    _update_unclaimed(session, ids, publish_at=moment(), published_at=None)


def is_any_due(session: Session) -> bool:
    """Whether `take_due` would find anything; cheap, and blocks no writer."""
    return bool(session.scalar(select(exists().where(*_due(session)))))


def take_due(session: Session, limit: int) -> list[PendingSubmission]:
    """Return undecided submissions that are due to be published, at most `limit`; count each as published."""
    return _take(session, limit, SubmissionRow.publish_at, *_due(session))


def is_any_queued_before(session: Session, moment: datetime) -> bool:
    """Whether any submission is believed to be queued since before `moment`; cheap, blocks no writer."""
    return bool(session.scalar(select(exists().where(*_queued_before(session, moment)))))


def take_lost(session: Session, limit: int, moment: datetime) -> list[PendingSubmission]:
    """Return at most `limit` undecided submissions that were published before `moment` and never came.

    Each is counted as published anew.
    """
    return _take(session, limit, SubmissionRow.published_at, *_queued_before(session, moment))


def published_at(session: Session, ids: Sequence[str]) -> list[datetime]:
    """Return when those of `ids` that are believed to be on the queue were put there."""
    query = select(SubmissionRow.published_at).where(
        SubmissionRow.id.in_(ids), SubmissionRow.published_at.is_not(None)
    )
    return [moment for moment in session.scalars(query) if moment is not None]


def give_back(session: Session, ids: Sequence[str]) -> None:
    """Take back what `take_due` or `take_lost` noted: these could not be published after all."""
    _update_unclaimed(
        session,
        ids,
        publish_at=moment(),
        published_at=None,
        published_again=SubmissionRow.published_again - 1,
    )


def after_patience() -> ColumnElement[datetime]:
    """Return when a version before 0010 publishes again what is on the queue."""
    return _growing(PATIENCE, LONGEST_PATIENCE)


def after_policy_pause() -> ColumnElement[datetime]:
    """Return when a submission whose policy is missing is published again, so that it is looked for anew."""
    return _growing(POLICY_PAUSE, LONGEST_POLICY_PAUSE)


def record(session: Session, decided: Sequence[DecidedSubmission]) -> set[tuple[str, str]]:
    """Note that these are decided; return the ids and policy digests of those that were to be decided.

    Not to be decided is what is decided already, unless a second judgement was asked for, and what another
    policy version has claimed since.
    """
    # In one order, so that two workers who record the same ones never wait for each other.
    firsts = {one.submission.id: one for one in reversed(decided)}
    rows = [_decided_row(firsts[name]) for name in sorted(firsts)]
    written = _settle(session, rows, lambda new: (SubmissionRow.state != "decided") & _is_pinned_to(new))
    if others := {name: one.policy_digest for name, one in firsts.items() if name not in written}:
        policies = {name: firsts[name].policy for name in others}
        digests = {name: literal(firsts[name].sha256, SubmissionRow.sha256.type) for name in others}
        written |= update_submissions(
            session,
            others,
            _AWAITS_SECOND,
            SubmissionRow.policy_digest == case(others, value=SubmissionRow.id),
            error=None,
            policy=case(policies, value=SubmissionRow.id),
            sha256=case(digests, value=SubmissionRow.id),
            **_SETTLED,
        )
    return {(name, firsts[name].policy_digest) for name in written}


def refuse(session: Session, submission_id: str, error: str, *, of: str | None = None) -> bool:
    """Note that no policy can decide a submission; return False if that, or something else, is known of it.

    `of` is its fingerprint, None if it could not even be read. What is accepted or decided under the same id
    and is something else stays what it is. A second judgement that is refused ends; the first decision stays
    in force.
    """
    if of is not None and _end_second_judgement(session, submission_id, of):
        return True
    is_it = (SubmissionRow.state == "accepted") & (SubmissionRow.fingerprint == of)
    is_news = (SubmissionRow.state == "refused") & SubmissionRow.error.is_distinct_from(error)
    row = {"id": submission_id, "fingerprint": of, "state": "refused", "error": error}
    return bool(_settle(session, [row], lambda _: is_news | is_it))


def abandon(session: Session, submission_id: str, error: str) -> bool:
    """Stop publishing what cannot be read any more; return whether it is refused, and not decided before."""
    refusal = {"state": "refused", "error": error, "updated_at": moment(), **_SETTLED}
    if update_submissions(session, [submission_id], SubmissionRow.state == "accepted", **refusal):
        return True
    _close(session, [submission_id], SubmissionRow.state == "decided")
    return False


def close(session: Session, ids: Iterable[str]) -> None:
    """Move on what is decided: it is neither published nor judged any more."""
    _close(session, ids)


def callback_of(session: Session, submission_id: str) -> dict[str, Any] | None:
    """Return where the platform wants to hear of a submission; None leaves it to the settings."""
    return session.scalar(select(SubmissionRow.callback).where(SubmissionRow.id == submission_id))


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


def _end_second_judgement(session: Session, submission_id: str, of: str) -> bool:
    """Close a submission that waits for a second judgement, if it has this fingerprint; return whether so."""
    # None: recorded before 0004.
    is_it = func.coalesce(SubmissionRow.fingerprint, of) == of
    return bool(_close(session, [submission_id], _AWAITS_SECOND, is_it))


def _close(session: Session, ids: Iterable[str], *where: ColumnElement[bool]) -> set[str]:
    """Mark as decided, with the facts of the newest decision; return which of `ids` were written."""
    return update_submissions(
        session,
        ids,
        *where,
        state="decided",
        error=None,
        policy=_newest_decision(DecisionRow.policy, SubmissionRow.policy),
        policy_digest=_newest_decision(DecisionRow.policy_digest, SubmissionRow.policy_digest),
        sha256=_newest_decision(DecisionRow.sha256, SubmissionRow.sha256),
        updated_at=moment(),
        **_SETTLED,
    )


def _newest_decision(
    column: InstrumentedAttribute[Any], default: InstrumentedAttribute[Any]
) -> ColumnElement[Any]:
    """Return `column` of a submission's newest decision, `default` if it has none or that is NULL."""
    newest = select(column).where(DecisionRow.submission_id == SubmissionRow.id)
    found = newest.order_by(DecisionRow.id.desc()).limit(1).correlate(SubmissionRow).scalar_subquery()
    return func.coalesce(found, default)


def _decided_row(decided: DecidedSubmission) -> dict[str, Any]:
    submission = decided.submission
    return {
        "id": submission.id,
        "fingerprint": fingerprint(submission),
        "state": "decided",
        "reference": submission.reference,
        "policy": decided.policy,
        "policy_digest": decided.policy_digest,
        "sha256": decided.sha256,
        "source": decided.source,
        "context": submission.context,
        "callback": callback_record(submission.callback),
        "error": None,
    }


def _is_pinned_to(new: _Columns) -> ColumnElement[bool]:
    pin = SubmissionRow.policy_digest
    return pin.is_(None) | (pin == new["policy_digest"])


def _settle(
    session: Session,
    rows: Sequence[Mapping[str, Any]],
    where: Callable[[_Columns], ColumnElement[bool]],
) -> set[str]:
    """Write how submissions ended, if they are new or `where` holds; return the ids of those.

    `rows` all have the same columns, which `where` is given; what a submission is, its fingerprint, stays.
    """
    if not rows:
        return set()
    settled = [{**row, **_SETTLED} for row in rows]
    insert = insert_into(session, SubmissionRow, updated_at=moment())
    written = settled[0].keys() | {"updated_at"}
    anew = {name: insert.excluded[name] for name in written - {"id", "fingerprint"}}
    upsert = insert.on_conflict_do_update(
        index_elements=[SubmissionRow.id], set_=anew, where=where(insert.excluded)
    )
    # Beside the session, which would ask for each row once more.
    result = session.connection().execute(
        upsert.returning(SubmissionRow.id), [{"reference": "", **row} for row in settled]
    )
    return set(result.scalars())


def _due(session: Session) -> tuple[ColumnElement[bool], ...]:
    # The time as a value: no index serves a comparison with a clock, which differs from row to row.
    return SubmissionRow.published_at.is_(None), SubmissionRow.publish_at <= database_now(session)


def _queued_before(session: Session, moment: datetime) -> tuple[ColumnElement[bool], ...]:
    # A version before 0010 claims what stays marked as published; if its process died, it counts as lost.
    died = SubmissionRow.claimed_until < database_now(session) - LEASE
    return (
        SubmissionRow.published_at < moment,
        SubmissionRow.publish_at.is_not(None),
        SubmissionRow.claimed_by.is_(None) | died,
    )


def _take(
    session: Session, limit: int, order: InstrumentedAttribute[Any], *which: ColumnElement[bool]
) -> list[PendingSubmission]:
    query = select(SubmissionRow).where(*which).order_by(order).limit(limit)
    rows = session.scalars(query.with_for_update(skip_locked=True)).all()
    update_submissions(
        session,
        [row.id for row in rows],
        published_again=SubmissionRow.published_again + 1,
        publish_at=after_patience(),
        published_at=moment(),
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
            again=row.again,
        )
        for row in rows
    ]


def _queued() -> dict[str, ColumnElement[datetime]]:
    """Return the columns of what is being put on the queue for the first time."""
    return {"publish_at": moment(PATIENCE), "published_at": moment()}


def _growing(first: timedelta, longest: timedelta) -> ColumnElement[datetime]:
    """Return the end of a pause that doubles each time a submission is published."""
    pauses: list[ColumnElement[datetime]] = []
    while (pause := first * 2 ** len(pauses)) < longest:
        pauses.append(moment(pause))
    return case(dict(enumerate(pauses)), value=SubmissionRow.published_again, else_=moment(longest))


def _update_unclaimed(session: Session, ids: Iterable[str], **values: object) -> None:
    """Write if it is still undecided and not claimed."""
    is_undecided, is_free = SubmissionRow.publish_at.is_not(None), SubmissionRow.claimed_by.is_(None)
    update_submissions(session, ids, is_undecided, is_free, **values)
