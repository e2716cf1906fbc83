"""Claims: who has which submission in hand, how often it was tried, and what became of those who died of it.

A claim is a lease by the database's time. Its holder renews it; one that runs out tells that the holder died,
and the submission is published again.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from worker.domain.callback import callback_record
from worker.domain.fingerprint import fingerprint
from worker.domain.submission import Submission
from worker.store.clock import database_now
from worker.store.inserting import insert_into, keep
from worker.store.tables import DecisionRow, SubmissionConflictRow, SubmissionRow

#: Renewed several times within it, so that one slow statement loses nothing.
LEASE: Final = timedelta(seconds=15)
#: What is in hand is published again this long after its lease would have run out.
MARGIN: Final = timedelta(seconds=1)
#: Who has killed so many workers is not tried again.
MAX_CRASHES: Final = 3


class Outcome(StrEnum):
    """What becomes of a submission that arrived."""

    #: In hand here, to be judged now.
    CLAIMED = "claimed"
    #: Workers died with it in hand: it has to be claimed again by one who judges nothing else meanwhile.
    SUSPECT = "suspect"
    #: In hand here, but not to be judged: too many workers died of it.
    QUARANTINE = "quarantine"
    #: Another worker has it in hand, and the ledger publishes it again should that one die.
    IN_HAND = "in hand"
    #: It was decided under this version of the policy.
    DECIDED = "decided"
    #: Its id belongs to another submission; noted in `submission_conflicts`.
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A submission that reached a worker, and what the ledger keeps of it."""

    submission: Submission
    #: Of the policy version that would decide it.
    policy_digest: str
    #: Where the picture is, fit to be read; None where it came inside the message.
    source: Mapping[str, Any] | None
    #: The same whole.
    pending_source: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Claim:
    """What became of an arrival."""

    outcome: Outcome
    #: The attempts that did not end with a worker's death, with this one.
    attempt: int = 0
    crashes: int = 0


def take(session: Session, process: str, arrivals: Sequence[Arrival], *, alone: bool) -> list[Claim]:
    """Claim what can be claimed for `process`; return what became of each arrival, in the order given.

    `alone` says that nothing else is in hand: suspects are claimed too. The statements are as many for one
    as for many, but for conflicts.
    """
    now = database_now(session)
    new = _insert_new(session, process, arrivals, now)
    rows = _lock(session, {one.submission.id for one in arrivals} - new)
    decided = _decided(session, rows)
    claims = []
    for one in arrivals:
        if one.submission.id in new:
            new.remove(one.submission.id)
            claims.append(Claim(Outcome.CLAIMED, attempt=1))
        elif row := rows.get(one.submission.id):
            is_decided = (row.id, one.policy_digest) in decided
            claims.append(_take_known(session, process, row, one, now, is_decided=is_decided, alone=alone))
        else:
            claims.append(_second_of_its_id(session, one, arrivals))
    return claims


def renew(session: Session, process: str, ids: Iterable[str]) -> None:
    """Extend the leases that `process` still has on these."""
    until = database_now(session) + LEASE
    _update_held(session, process, ids, claimed_until=until, publish_at=until + MARGIN)


def release(
    session: Session, process: str, ids: Iterable[str], *, again_in: timedelta, counts: bool = True
) -> None:
    """Let go of these undecided: they are published after `again_in`; `counts` says whether as an attempt."""
    _update_held(
        session,
        process,
        ids,
        claimed_by=None,
        claimed_until=None,
        publish_at=database_now(session) + again_in,
        attempts=SubmissionRow.attempts - (0 if counts else 1),
    )


def _insert_new(session: Session, process: str, arrivals: Sequence[Arrival], now: datetime) -> set[str]:
    """Claim what the ledger did not know, and return the ids."""
    first = {one.submission.id: one for one in reversed(arrivals)}
    values = [
        {"id": name, "created_at": now, **_facts(first[name]), **_held(process, now), "attempts": 1}
        # In one order for all, so that two workers with the same submissions never wait for each other.
        for name in sorted(first)
    ]
    once = insert_into(session, SubmissionRow).values(values).on_conflict_do_nothing()
    return set(session.scalars(once.returning(SubmissionRow.id)))


def _lock(session: Session, ids: Collection[str]) -> dict[str, SubmissionRow]:
    if not ids:
        return {}
    query = select(SubmissionRow).where(SubmissionRow.id.in_(ids)).order_by(SubmissionRow.id)
    return {row.id: row for row in session.scalars(query.with_for_update())}


def _take_known(  # noqa: PLR0913 - the row, what arrived for it, and who asks
    session: Session,
    process: str,
    row: SubmissionRow,
    arrival: Arrival,
    now: datetime,
    *,
    is_decided: bool,
    alone: bool,
) -> Claim:
    # Without a fingerprint it was recorded before there were any.
    if row.state != "refused" and row.fingerprint not in {None, fingerprint(arrival.submission)}:
        return _note_conflict(session, arrival)
    if is_decided:
        return _leave_decided(row)
    if row.state != "accepted":
        # Refused, and accepted anew whatever it was; or decided under another version of the policy.
        _begin_anew(row, arrival)
    if row.claimed_until and row.claimed_until > now:
        return Claim(Outcome.IN_HAND)
    if row.claimed_by:
        row.crashes += 1
    return _take_free(process, row, now, alone=alone)


def _take_free(process: str, row: SubmissionRow, now: datetime, *, alone: bool) -> Claim:
    if 0 < row.crashes < MAX_CRASHES and not alone:
        row.claimed_by = row.claimed_until = None
        # Should this process end before its turn comes.
        row.publish_at = now + LEASE + MARGIN
        return Claim(Outcome.SUSPECT, crashes=row.crashes)
    row.attempts += 1
    for name, value in _held(process, now).items():
        setattr(row, name, value)
    outcome = Outcome.QUARANTINE if row.crashes >= MAX_CRASHES else Outcome.CLAIMED
    return Claim(outcome, row.attempts - row.crashes, row.crashes)


def _begin_anew(row: SubmissionRow, arrival: Arrival) -> None:
    for name, value in _facts(arrival).items():
        setattr(row, name, value)
    row.attempts = row.crashes = row.published_again = 0
    row.error = None


def _leave_decided(row: SubmissionRow) -> Claim:
    """Move on what is decided: a worker of the version before knows neither claims nor this state."""
    if row.state == "accepted":
        row.state = "decided"
        row.pending_source = row.publish_at = row.claimed_by = row.claimed_until = None
    return Claim(Outcome.DECIDED)


def _second_of_its_id(session: Session, arrival: Arrival, arrivals: Sequence[Arrival]) -> Claim:
    first = next(one for one in arrivals if one.submission.id == arrival.submission.id)
    if fingerprint(first.submission) == fingerprint(arrival.submission):
        return Claim(Outcome.IN_HAND)
    return _note_conflict(session, arrival)


def _note_conflict(session: Session, arrival: Arrival) -> Claim:
    what = arrival.submission
    keep(
        session,
        SubmissionConflictRow,
        submission_id=what.id,
        fingerprint=fingerprint(what),
        reference=what.reference,
        policy=what.policy,
        sha256=what.sha256,
        source=arrival.source,
    )
    return Claim(Outcome.CONFLICT)


def _decided(session: Session, ids: Collection[str]) -> set[tuple[str, str]]:
    """Return the pairs of submission and policy version that are decided."""
    if not ids:
        return set()
    query = select(DecisionRow.submission_id, DecisionRow.policy_digest)
    found = session.execute(query.where(DecisionRow.submission_id.in_(ids)))
    return {(submission_id, digest) for submission_id, digest in found}


def _facts(arrival: Arrival) -> dict[str, Any]:
    what = arrival.submission
    return {
        "state": "accepted",
        "reference": what.reference,
        "policy": what.policy,
        "sha256": what.sha256,
        "source": arrival.source,
        "pending_source": arrival.pending_source,
        "context": what.context,
        "callback": callback_record(what.callback),
        "fingerprint": fingerprint(what),
    }


def _held(process: str, now: datetime) -> dict[str, Any]:
    until = now + LEASE
    return {
        "claimed_by": process,
        "claimed_until": until,
        "publish_at": until + MARGIN,
        "updated_at": now,
    }


def _update_held(session: Session, process: str, ids: Iterable[str], **values: object) -> None:
    session.execute(
        update(SubmissionRow)
        .where(SubmissionRow.claimed_by == process, SubmissionRow.id.in_(list(ids)))
        .values(**values)
        .execution_options(synchronize_session=False)
    )
