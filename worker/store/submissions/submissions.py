"""Submissions: the ledger of everything that was accepted or reached a worker, and its outcome."""

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
#: How long a published message may stay on the queue before it can count as lost. A version before 0010
#: publishes it again then, after twice as long, and so on, up to LONGEST_PATIENCE.
PATIENCE: Final = timedelta(minutes=1)
LONGEST_PATIENCE: Final = timedelta(hours=1)
#: Pause before a submission with a missing policy is retried; it doubles each time up to the longest.
POLICY_PAUSE: Final = timedelta(seconds=2)
LONGEST_POLICY_PAUSE: Final = timedelta(minutes=1)

_Columns = ReadOnlyColumnCollection[str, KeyedColumnElement[Any]]

#: How many submissions with the same reference an error lists.
_MAX_NAMED: Final = 20
#: Columns that are cleared when a submission has an outcome.
_SETTLED: Final[dict[str, None]] = dict.fromkeys(
    ("pending_source", "publish_at", "published_at", "refuse_at", "claimed_by", "claimed_until", "waits_for")
)
#: A decided submission that waits for a second judgement, or is being judged again.
_AWAITS_SECOND: Final = (SubmissionRow.state == "decided") & SubmissionRow.publish_at.is_not(None)


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A submission as recorded in the ledger."""

    id: str
    reference: str
    policy: str | None
    sha256: str | None
    #: As in the message, a URL without its query; None if the picture came inside the message.
    source: dict[str, Any] | None
    context: dict[str, Any] | None
    #: accepted, decided or refused.
    state: str
    #: Why it was refused or, while it is undecided, why it waits.
    error: str | None
    fingerprint: str | None
    #: In UTC.
    created_at: datetime
    updated_at: datetime


class KnownSubmission(Protocol):
    """The identity of a submission in the ledger."""

    @property
    def fingerprint(self) -> str | None:
        """None if it was recorded before there were fingerprints."""

    @property
    def sha256(self) -> str | None:
        """The digest of the bytes, if it is known."""

    @property
    def source(self) -> dict[str, Any] | None:
        """Where its picture is; None if it came inside the message."""


@dataclass(frozen=True, slots=True)
class PendingSubmission:
    """An undecided submission, complete enough to be published."""

    id: str
    #: As messages write it.
    source: dict[str, Any]
    policy: str | None
    reference: str
    sha256: str | None
    context: dict[str, Any] | None
    callback: dict[str, Any] | None
    again: str | None


@dataclass(frozen=True, slots=True)
class DecidedSubmission:
    """A decided submission, and the policy version that decided it."""

    submission: Submission
    policy: str
    policy_digest: str
    #: The digest of the bytes; None if they were unavailable.
    sha256: str | None
    #: Where they are; None if they came inside the message.
    source: Mapping[str, Any] | None


def is_same(known: KnownSubmission, submission: Submission, source: Mapping[str, Any] | None) -> bool:
    """Whether a ledger entry is this submission, whose picture is at `source`."""
    if known.fingerprint is not None:
        return known.fingerprint == fingerprint(submission)
    if known.sha256 and submission.sha256:
        return known.sha256 == submission.sha256
    return known.source is not None and known.source == source


def entry(
    submission: Submission, source: Mapping[str, Any] | None, pending_source: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the columns of an undecided submission, except its times.

    `source` says where the picture is, without secrets; `pending_source` is complete, as in the message.
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
    """Record an undecided submission; return False if it is known already.

    A refused id is accepted anew, whatever it was before. `source` and `pending_source` as in `entry`.
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
    """Request a second judgement; return False if it was requested before, or the submission is undecided.

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
        # As in the message: republishing reads these columns, and the first decision overwrote them.
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
    """Let an undecided submission wait for its policy without a limit."""
    has_limit = SubmissionRow.refuse_at.is_not(None)
    update_submissions(session, [submission_id], has_limit, refuse_at=None)


def find(session: Session, submission_id: str) -> LedgerEntry | None:
    """Return the ledger entry of a submission, if there is one."""
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
    """Return the traceparent of a submission."""
    return session.scalar(select(SubmissionRow.traceparent).where(SubmissionRow.id == submission_id))


def is_open(session: Session, submission_id: str) -> bool:
    """Whether a submission waits for its first decision, or for a second one that was requested."""
    decided = exists().where(DecisionRow.submission_id == SubmissionRow.id)
    waits_for_first = (SubmissionRow.state == "accepted") & ~decided
    query = select(SubmissionRow.id).where(
        SubmissionRow.id == submission_id, waits_for_first | _AWAITS_SECOND
    )
    return session.scalar(query) is not None


def publish_soon(session: Session, ids: Iterable[str]) -> None:
    """Make accepted submissions due for publishing now: they are not on the queue."""
    _update_unclaimed(session, ids, publish_at=moment(), published_at=None)


def is_any_due(session: Session) -> bool:
    """Whether `take_due` would return anything; cheap, and blocks no writer."""
    return bool(session.scalar(select(exists().where(*_due(session)))))


def take_due(session: Session, limit: int) -> list[PendingSubmission]:
    """Return at most `limit` undecided submissions that are due, and mark each as published."""
    return _take(session, limit, SubmissionRow.publish_at, *_due(session))


def is_any_queued_before(session: Session, moment: datetime) -> bool:
    """Whether the ledger has a submission as queued since before `moment`; cheap, blocks no writer."""
    return bool(session.scalar(select(exists().where(*_queued_before(session, moment)))))


def take_lost(session: Session, limit: int, moment: datetime) -> list[PendingSubmission]:
    """Return at most `limit` undecided submissions that were published before `moment` and never arrived.

    Marks each as published again.
    """
    return _take(session, limit, SubmissionRow.published_at, *_queued_before(session, moment))


def published_at(session: Session, ids: Sequence[str]) -> list[datetime]:
    """Return when those of `ids` that the ledger has as queued were published."""
    query = select(SubmissionRow.published_at).where(
        SubmissionRow.id.in_(ids), SubmissionRow.published_at.is_not(None)
    )
    return [moment for moment in session.scalars(query) if moment is not None]


def give_back(session: Session, ids: Sequence[str]) -> None:
    """Undo the marks of `take_due` or `take_lost`: these could not be published."""
    _update_unclaimed(
        session,
        ids,
        publish_at=moment(),
        published_at=None,
        published_again=SubmissionRow.published_again - 1,
    )


def after_patience() -> ColumnElement[datetime]:
    """Return when a version before 0010 publishes a queued submission again."""
    return _growing(PATIENCE, LONGEST_PATIENCE)


def after_policy_pause() -> ColumnElement[datetime]:
    """Return when a submission whose policy is missing is published again."""
    return _growing(POLICY_PAUSE, LONGEST_POLICY_PAUSE)


def record(session: Session, decided: Sequence[DecidedSubmission]) -> set[tuple[str, str]]:
    """Record these as decided; return the ids and policy digests of those that were recorded.

    Skips a submission that is decided already, unless a second judgement was requested, and one that another
    policy version has claimed since.
    """
    # In a fixed order, so that two workers that record the same submissions never deadlock.
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
    """Record that a submission cannot be decided; return False if the ledger has that or another outcome.

    `of` is its fingerprint, None if the message could not be parsed. Another submission that is accepted or
    decided under the same id is left alone. A refused second judgement ends, and the first decision stays in
    force.
    """
    if of is not None and _end_second_judgement(session, submission_id, of):
        return True
    is_it = (SubmissionRow.state == "accepted") & (SubmissionRow.fingerprint == of)
    is_news = (SubmissionRow.state == "refused") & SubmissionRow.error.is_distinct_from(error)
    row = {"id": submission_id, "fingerprint": of, "state": "refused", "error": error}
    return bool(_settle(session, [row], lambda _: is_news | is_it))


def abandon(session: Session, submission_id: str, error: str) -> bool:
    """Stop publishing a submission that cannot be parsed any more; return whether this refuses it.

    False if it was decided before: then the decision stays.
    """
    refusal = {"state": "refused", "error": error, "updated_at": moment(), **_SETTLED}
    if update_submissions(session, [submission_id], SubmissionRow.state == "accepted", **refusal):
        return True
    _close(session, [submission_id], SubmissionRow.state == "decided")
    return False


def close(session: Session, ids: Iterable[str]) -> None:
    """Close decided submissions: they are neither published nor judged any more."""
    _close(session, ids)


def callback_of(session: Session, submission_id: str) -> dict[str, Any] | None:
    """Return the callback of a submission; None for the default in the settings."""
    return session.scalar(select(SubmissionRow.callback).where(SubmissionRow.id == submission_id))


def refused(session: Session, limit: int) -> list[tuple[str, str]]:
    """Return at most `limit` refused submissions, each with the reason, newest first."""
    query = (
        select(SubmissionRow.id, SubmissionRow.error)
        .where(SubmissionRow.state == "refused")
        .order_by(SubmissionRow.updated_at.desc())
        .limit(limit)
    )
    return [(submission_id, error or "") for submission_id, error in session.execute(query)]


def named(session: Session, name: str) -> str | None:
    """Return the id of the submission with this id, else with this reference; None if neither exists.

    UsageError if several have the reference; it names the newest of them.
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
    """Close a submission that waits for a second judgement, if its fingerprint matches; return whether."""
    # None: recorded before 0004.
    is_it = func.coalesce(SubmissionRow.fingerprint, of) == of
    return bool(_close(session, [submission_id], _AWAITS_SECOND, is_it))


def _close(session: Session, ids: Iterable[str], *where: ColumnElement[bool]) -> set[str]:
    """Mark as decided, with the columns of the newest decision; return which of `ids` were written."""
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
    """Write outcomes of submissions that are new or match `where`; return the ids written.

    `rows` all have the same columns, which are passed to `where`. An existing fingerprint stays.
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
    # Bypass the session, which would read each row once more.
    result = session.connection().execute(
        upsert.returning(SubmissionRow.id), [{"reference": "", **row} for row in settled]
    )
    return set(result.scalars())


def _due(session: Session) -> tuple[ColumnElement[bool], ...]:
    # The time as a parameter: an index cannot be used with a clock, which may differ from row to row.
    return SubmissionRow.published_at.is_(None), SubmissionRow.publish_at <= database_now(session)


def _queued_before(session: Session, moment: datetime) -> tuple[ColumnElement[bool], ...]:
    # A version before 0010 leaves `published_at` set when it claims; if its process died, it counts as lost.
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
    """Return the columns of a submission that is being published for the first time."""
    return {"publish_at": moment(PATIENCE), "published_at": moment()}


def _growing(first: timedelta, longest: timedelta) -> ColumnElement[datetime]:
    """Return the end of a pause that doubles each time a submission is published."""
    pauses: list[ColumnElement[datetime]] = []
    while (pause := first * 2 ** len(pauses)) < longest:
        pauses.append(moment(pause))
    return case(dict(enumerate(pauses)), value=SubmissionRow.published_again, else_=moment(longest))


def _update_unclaimed(session: Session, ids: Iterable[str], **values: object) -> None:
    """Write into those of `ids` that are still undecided and not claimed."""
    is_undecided, is_free = SubmissionRow.publish_at.is_not(None), SubmissionRow.claimed_by.is_(None)
    update_submissions(session, ids, is_undecided, is_free, **values)
