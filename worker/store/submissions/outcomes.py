"""Outcomes of submissions: decided, refused or closed, which ends their publishing."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from moderation_client.callback import callback_record
from moderation_client.submission import Submission
from sqlalchemy import ColumnElement, case, func, literal, select
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.elements import KeyedColumnElement

from worker.domain.submissions.fingerprint import fingerprint
from worker.store.engine.clock import moment
from worker.store.engine.inserting import insert_into
from worker.store.engine.tables import DecisionRow, SubmissionRow
from worker.store.engine.updating import update_submissions
from worker.store.submissions import submissions

_Columns = ReadOnlyColumnCollection[str, KeyedColumnElement[Any]]
#: Columns that are cleared when a submission has an outcome.
_SETTLED: Final[dict[str, None]] = dict.fromkeys(
    ("pending_source", "publish_at", "published_at", "refuse_at", "claimed_by", "claimed_until", "waits_for")
)


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
            submissions.AWAITS_SECOND,
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


def _end_second_judgement(session: Session, submission_id: str, of: str) -> bool:
    """Close a submission that waits for a second judgement, if its fingerprint matches; return whether."""
    # None: recorded before 0004.
    is_it = func.coalesce(SubmissionRow.fingerprint, of) == of
    return bool(_close(session, [submission_id], submissions.AWAITS_SECOND, is_it))


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
        "text": submission.text or None,
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
