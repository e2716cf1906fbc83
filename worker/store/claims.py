"""Claims: which worker process has a submission in hand, and how often one died of it.

A claim is a lease. Whoever holds it renews it, so that one which ran out says that its holder died.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any, Final

from sqlalchemy import ColumnElement, case, literal, select, update
from sqlalchemy.orm import Session

from worker.domain.fingerprint import fingerprint
from worker.domain.submission import Submission
from worker.store import clock, submissions
from worker.store.column_types import Names
from worker.store.inserting import insert_into
from worker.store.tables import DecisionRow, SubmissionConflictRow, SubmissionRow
from worker.store.updating import update_submissions

#: Three renewals fit into it.
LEASE: Final = timedelta(seconds=15)
#: After the end of a lease the submission is put on the queue again.
GRACE: Final = timedelta(seconds=1)
#: A submission of which so many workers died is judged by none any more.
MAX_CRASHES: Final = 3
#: One that failed in other ways so often is not tried again.
MAX_FAILURES: Final = 3


@dataclass(frozen=True, slots=True)
class Arrival:
    """A submission that reached a worker, and what the ledger has to keep of it."""

    submission: Submission
    #: Of the policy version that would decide it.
    policy_digest: str
    #: Where the picture is, fit to be read; None where it came inside the message.
    source: Mapping[str, Any] | None
    #: The same whole: the source as the message says it.
    pending_source: Mapping[str, Any]


class Standing(Enum):
    """How a submission stands when it reaches a worker."""

    #: In hand here, from now on.
    CLAIMED = auto()
    #: Decided under this version of the policy.
    DECIDED = auto()
    #: In hand elsewhere, or waiting for its next attempt; the ledger will publish it should that be needed.
    IN_HAND = auto()
    #: The id belongs to something else; recorded in `submission_conflicts`.
    CONFLICT = auto()
    #: A worker died of it: to be claimed by one that has nothing else in hand.
    SUSPECT = auto()
    #: Too many workers died of it.
    DEADLY = auto()
    #: It failed too often.
    FAILING = auto()


@dataclass(frozen=True, slots=True)
class Claim:
    """What came of the wish to have a submission in hand."""

    standing: Standing
    #: How often it was in hand, this time included.
    attempts: int = 0
    crashes: int = 0
    #: The trace that the submission belongs to, as the ledger knows it.
    traceparent: str | None = field(default=None, compare=False)
    #: Since when it has been undecided; None if it was decided under another version of its policy.
    since: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Release:
    """How a claim ends without an outcome."""

    #: Whether it was an attempt that failed, or none at all.
    counts: bool
    #: How long until it is published again; None where its message is still there, and can be waited for.
    pause: timedelta | None


@dataclass(frozen=True, slots=True)
class _Known:
    """What the ledger knows of a submission, its row locked."""

    id: str
    state: str
    fingerprint: str | None
    sha256: str | None
    source: dict[str, Any] | None
    attempts: int
    crashes: int
    claimed_by: str | None
    claimed_until: datetime | None
    #: None where it has an outcome, or is new.
    publish_at: datetime | None
    traceparent: str | None
    created_at: datetime

    @property
    def since(self) -> datetime | None:
        """Since when it has been undecided; None if it was decided under another version of its policy."""
        return None if self.state == "decided" else self.created_at

    @property
    def failures(self) -> int:
        """How many attempts ended neither with an outcome nor with the worker's death."""
        return self.attempts - self.crashes if self.publish_at else 0


_KNOWN: Final = [getattr(SubmissionRow, name) for name in _Known.__dataclass_fields__]


@dataclass(frozen=True, slots=True)
class _Claimant:
    """Who wishes to have something in hand."""

    process: str
    holds: Callable[[str], bool]
    alone: bool
    now: datetime

    def is_late(self, known: _Known) -> bool:
        """Whether another has it in hand who died."""
        return known.claimed_by not in {None, self.process} and not self._is_taken(known)

    def standing(self, known: _Known) -> Standing:
        """How a submission stands that is the one that is known, and not decided."""
        if self._is_mine(known):
            if self.holds(known.id):
                return Standing.IN_HAND
        elif self._is_taken(known):
            return Standing.IN_HAND
        if known.crashes >= MAX_CRASHES:
            return Standing.DEADLY
        # What this process let go of without being able to say so was no attempt.
        if known.failures - self._is_mine(known) >= MAX_FAILURES:
            return Standing.FAILING
        return Standing.SUSPECT if known.crashes and not self.alone else Standing.CLAIMED

    def _is_mine(self, known: _Known) -> bool:
        return known.claimed_by == self.process

    def _is_taken(self, known: _Known) -> bool:
        return known.claimed_until is not None and known.claimed_until > self.now


def claim(
    session: Session,
    arrivals: Sequence[Arrival],
    process: str,
    holds: Callable[[str], bool],
    *,
    alone: bool = False,
) -> list[Claim]:
    """Take in hand for `process` what can be; return how each arrival stands, in the order given.

    `holds` says what this process has in hand: no lease of its own ever runs out. Suspects are claimed only
    where `alone`. The number of statements does not depend on that of arrivals.
    """
    locked = _lock(session, arrivals)
    # Of two with one id, the first that is what the ledger knows can be taken in hand.
    meant: dict[str, Arrival] = {}
    strange = [one for one in arrivals if not _is_known(one, locked)]
    for one in arrivals:
        if _is_known(one, locked):
            meant.setdefault(one.submission.id, one)

    decided = _decided(session, meant.values())
    claimant = _Claimant(process, holds, alone, clock.database_now(session))
    locked = _count_crashes(session, claimant, {name: locked[name] for name in meant})
    found = {
        name: Claim(
            Standing.DECIDED if name in decided else claimant.standing(locked[name]),
            crashes=locked[name].crashes,
            traceparent=locked[name].traceparent,
            since=locked[name].since,
        )
        for name in meant
    }

    wanted = [one for name, one in meant.items() if found[name].standing is Standing.CLAIMED]
    if wanted:
        found |= _take(session, process, wanted, locked)
    if left := [name for name in decided if locked[name].publish_at]:
        submissions.close(session, left)
    if strange:
        _note_conflicts(session, strange)
    return [_claim_of(one, meant, found, strange) for one in arrivals]


def renew(session: Session, process: str, ids: Collection[str]) -> set[str]:
    """Extend the leases of what `process` still has in hand of `ids`, and return what that is."""
    return _update_claimed(session, process, ids, **_lease(session))


def expect(session: Session, ids: Collection[str]) -> None:
    """Have suspects that wait here for their turn published only when this process stops saying so."""
    update_submissions(
        session,
        ids,
        SubmissionRow.publish_at.is_not(None),
        SubmissionRow.claimed_by.is_(None),
        SubmissionRow.claimed_until.is_(None),
        publish_at=clock.later(session, LEASE + GRACE),
    )


def release(session: Session, process: str, ids: Collection[str], how: Release) -> set[str]:
    """Let go of what `process` still has in hand of `ids`, without an outcome; return what that is."""
    again = submissions.after_patience(session) if how.pause is None else clock.later(session, how.pause)
    return _update_claimed(
        session,
        process,
        ids,
        claimed_by=None,
        # However many copies of its message there are, none is the next attempt before its time.
        claimed_until=again if how.counts else None,
        publish_at=again,
        attempts=SubmissionRow.attempts - (0 if how.counts else 1),
    )


def take_back_crashes(session: Session, claims: Mapping[str, Claim]) -> None:
    """Say that whoever held these claims lives, though others saw the leases run out: nobody died of them."""
    for crashes in {claim.crashes for claim in claims.values()}:
        ids = [name for name, claim in claims.items() if claim.crashes == crashes]
        update_submissions(
            session,
            ids,
            SubmissionRow.crashes > crashes,
            crashes=SubmissionRow.crashes - 1,
            attempts=SubmissionRow.attempts - 1,
        )


def _is_known(one: Arrival, locked: Mapping[str, _Known]) -> bool:
    return submissions.is_same(locked[one.submission.id], one.submission, one.source)


def _lock(session: Session, arrivals: Sequence[Arrival]) -> dict[str, _Known]:
    """Write what is new, or was refused before; lock the rows and return what they say.

    In the order of their ids, so that two workers with the same submissions never wait for each other.
    """
    firsts = {one.submission.id: one for one in reversed(arrivals)}
    rows = [
        submissions.entry(one.submission, one.source, one.pending_source) | {"id": name, "publish_at": None}
        for name, one in sorted(firsts.items())
    ]
    if not rows:
        return {}
    insert = insert_into(session, SubmissionRow)
    was_refused = SubmissionRow.state == "refused"
    anew = {
        name: case((was_refused, insert.excluded[name]), else_=getattr(SubmissionRow, name))
        for name in rows[0].keys() - {"id"}
    }
    upsert = insert.on_conflict_do_update(index_elements=[SubmissionRow.id], set_=anew)
    # Beside the session, which would ask for each row that was not new once more.
    found = session.connection().execute(upsert.returning(*_KNOWN), rows)
    return {row.id: _Known(*row) for row in found}


def _decided(session: Session, arrivals: Collection[Arrival]) -> set[str]:
    """Return the ids of what is decided under the policy version that it would be judged by."""
    query = select(DecisionRow.submission_id, DecisionRow.policy_digest).where(
        DecisionRow.submission_id.in_([one.submission.id for one in arrivals])
    )
    decisions = {tuple(row) for row in session.execute(query)}
    return {one.submission.id for one in arrivals if (one.submission.id, one.policy_digest) in decisions}


def _count_crashes(session: Session, claimant: _Claimant, locked: dict[str, _Known]) -> dict[str, _Known]:
    """Count what was in hand when its holder died, and return the rows as they are then."""
    died = [known for known in locked.values() if claimant.is_late(known)]
    if not died:
        return locked
    again = clock.later(session, LEASE + GRACE)
    update_submissions(
        session,
        [known.id for known in died],
        crashes=SubmissionRow.crashes + 1,
        claimed_by=None,
        claimed_until=None,
        # Published again even if this process dies before it has claimed it.
        publish_at=again,
    )
    return locked | {
        known.id: replace(known, crashes=known.crashes + 1, claimed_by=None, claimed_until=None)
        for known in died
    }


def _take(
    session: Session, process: str, arrivals: Iterable[Arrival], locked: Mapping[str, _Known]
) -> dict[str, Claim]:
    """Write the claims on these and return them."""
    # Decided under an earlier version of the policy: its source was emptied then.
    emptied = {
        one.submission.id: literal(one.pending_source, Names)
        for one in arrivals
        if (known := locked[one.submission.id]).state == "decided" and known.publish_at is None
    }
    whole: dict[str, Any] = {}
    if emptied:
        whole["pending_source"] = case(emptied, value=SubmissionRow.id, else_=SubmissionRow.pending_source)
    attempts = case(
        (SubmissionRow.publish_at.is_(None), SubmissionRow.crashes + 1),
        (SubmissionRow.claimed_by == process, SubmissionRow.attempts),
        else_=SubmissionRow.attempts + 1,
    )
    taken = session.execute(
        update(SubmissionRow)
        .where(SubmissionRow.id.in_([one.submission.id for one in arrivals]))
        .values(claimed_by=process, attempts=attempts, **_lease(session), **whole)
        .returning(SubmissionRow.id, SubmissionRow.attempts, SubmissionRow.crashes)
        .execution_options(synchronize_session=False)
    )
    return {
        name: Claim(Standing.CLAIMED, attempts, crashes, locked[name].traceparent, locked[name].since)
        for name, attempts, crashes in taken
    }


def _claim_of(
    one: Arrival, meant: Mapping[str, Arrival], found: Mapping[str, Claim], strange: Sequence[Arrival]
) -> Claim:
    if any(one is other for other in strange):
        return Claim(Standing.CONFLICT)
    return found[one.submission.id] if one is meant[one.submission.id] else Claim(Standing.IN_HAND)


def _note_conflicts(session: Session, arrivals: Iterable[Arrival]) -> None:
    """Record, each once, what came with the id of something else."""
    rows = {
        (one.submission.id, fingerprint(one.submission)): {
            "submission_id": one.submission.id,
            "fingerprint": fingerprint(one.submission),
            "reference": one.submission.reference,
            "policy": one.submission.policy,
            "sha256": one.submission.sha256,
            "source": one.source,
        }
        for one in arrivals
    }
    insert = insert_into(session, SubmissionConflictRow).on_conflict_do_nothing()
    # RETURNING makes one statement of it.
    session.connection().execute(insert.returning(SubmissionConflictRow.id), list(rows.values()))


def _lease(session: Session) -> dict[str, ColumnElement[datetime]]:
    return {"claimed_until": clock.later(session, LEASE), "publish_at": clock.later(session, LEASE + GRACE)}


def _update_claimed(session: Session, process: str, ids: Collection[str], **values: object) -> set[str]:
    return update_submissions(session, ids, SubmissionRow.claimed_by == process, **values)
