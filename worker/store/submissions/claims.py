"""Claims: which worker process judges a submission, and how often a process crashed on it.

A claim is a lease that its holder renews: an expired lease means that the holder died.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any, Final

from moderation_client.submission import Submission
from sqlalchemy import ColumnElement, case, literal, null, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from worker.domain.submissions.fingerprint import fingerprint
from worker.store.engine.clock import database_now, moment
from worker.store.engine.column_types import FreeText
from worker.store.engine.inserting import insert_into
from worker.store.engine.tables import DecisionRow, SubmissionConflictRow, SubmissionRow
from worker.store.engine.updating import update_submissions
from worker.store.submissions import submissions

LEASE: Final = submissions.LEASE
#: How long after the end of its lease a submission is published again.
GRACE: Final = timedelta(seconds=1)
#: After this number of crashes a submission is poison, and not judged any more.
MAX_CRASHES: Final = 3
#: After this number of other failed attempts a submission is not retried.
MAX_FAILURES: Final = 3
#: How long a message waits for its policy to come into force before it is refused.
POLICY_WAIT: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A submission that reached a worker, and what the ledger has to store about it."""

    submission: Submission
    #: Of the policy version that would decide it; None if its policy is not in force here.
    policy_digest: str | None
    #: Where the picture is, without secrets; None if it came inside the message.
    source: Mapping[str, Any] | None
    #: The complete source, as in the message.
    pending_source: Mapping[str, Any]
    #: Why its policy is not in force here; None if it is.
    problem: str | None = None


class ClaimStatus(Enum):
    """The status of a submission when it reaches a worker."""

    #: This process has claimed it now.
    CLAIMED = auto()
    #: Decided, and no second judgement was requested since.
    DECIDED = auto()
    #: Already claimed, or waiting for its next attempt; the ledger publishes it again if necessary.
    IN_FLIGHT = auto()
    #: The id belongs to another submission; recorded in `submission_conflicts`.
    CONFLICT = auto()
    #: A worker crashed on it: only a process that judges nothing else may claim it.
    CRASHED = auto()
    #: Too many workers crashed on it.
    POISON = auto()
    #: Too many attempts failed.
    FAILING = auto()
    #: Its policy is not in force here: the ledger publishes it again after a pause.
    NO_POLICY = auto()
    #: Its policy did not come into force in time: to be refused.
    NO_POLICY_IN_TIME = auto()


#: Not claimed, but handled by this process: how long until it is published again if that fails.
_UNCLAIMED: Final = {
    ClaimStatus.CRASHED: LEASE + GRACE,
    ClaimStatus.POISON: submissions.PATIENCE,
    ClaimStatus.FAILING: submissions.PATIENCE,
    ClaimStatus.NO_POLICY_IN_TIME: submissions.PATIENCE,
}


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """Result of a claim."""

    status: ClaimStatus
    #: How often it was claimed, including this time.
    attempts: int = 0
    crashes: int = 0
    #: Time since the ledger recorded the submission or, if it is judged again, the request for that.
    age: timedelta = field(default=timedelta(), compare=False)
    #: The trace that the submission belongs to, from the ledger.
    traceparent: str | None = field(default=None, compare=False)
    #: Since when it has been undecided; None if this is a second judgement.
    since: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ClaimRelease:
    """How to release a claim without an outcome."""

    #: Whether it counts as a failed attempt.
    counts: bool
    #: How long until it is published again; None if its message is still on the queue.
    pause: timedelta | None
    #: The unavailable resource that it waits for, as operators call it; None if it waits for none.
    waits_for: str | None = None
    #: Why it is not judged yet.
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    """A submission's row in the ledger, locked."""

    id: str
    state: str
    fingerprint: str | None
    sha256: str | None
    source: dict[str, Any] | None
    attempts: int
    crashes: int
    claimed_by: str | None
    claimed_until: datetime | None
    #: None if it has an outcome, or is new.
    publish_at: datetime | None
    refuse_at: datetime | None
    policy_digest: str | None
    again: str | None
    traceparent: str | None
    created_at: datetime

    @property
    def is_new(self) -> bool:
        """Whether only its message requests this judgement, first or second: HTTP did not accept it."""
        return self.publish_at is None

    @property
    def since(self) -> datetime | None:
        """Since when it has been undecided; None if this is a second judgement."""
        return None if self.state == "decided" else self.created_at

    @property
    def failures(self) -> int:
        """How many attempts ended neither with an outcome nor with a crash."""
        return self.attempts - self.crashes if self.publish_at else 0


_KNOWN: Final = [getattr(SubmissionRow, name) for name in _Known.__dataclass_fields__]


@dataclass(frozen=True, slots=True)
class _Claimant:
    """A process that claims submissions."""

    process: str
    holds: Callable[[str], bool]
    alone: bool
    now: datetime

    def is_expired(self, known: _Known) -> bool:
        """Whether another process's lease has expired."""
        return known.claimed_by not in {None, self.process} and not self._is_leased(known)

    def status(self, known: _Known, arrival: Arrival) -> ClaimStatus:
        """Return the status of an undecided submission that matches its ledger row."""
        if self._is_mine(known):
            if self.holds(known.id):
                return ClaimStatus.IN_FLIGHT
        elif self._is_leased(known):
            return ClaimStatus.IN_FLIGHT
        if arrival.policy_digest is None:
            is_late = known.refuse_at is not None and known.refuse_at <= self.now
            return ClaimStatus.NO_POLICY_IN_TIME if is_late else ClaimStatus.NO_POLICY
        if known.crashes >= MAX_CRASHES:
            return ClaimStatus.POISON
        # This process's last release could not be recorded: that does not count as a failed attempt.
        if known.failures - self._is_mine(known) >= MAX_FAILURES:
            return ClaimStatus.FAILING
        return ClaimStatus.CRASHED if known.crashes and not self.alone else ClaimStatus.CLAIMED

    def _is_mine(self, known: _Known) -> bool:
        return known.claimed_by == self.process

    def _is_leased(self, known: _Known) -> bool:
        return known.claimed_until is not None and known.claimed_until > self.now


def claim(  # noqa: PLR0913 - the last two all have a name
    session: Session,
    arrivals: Sequence[Arrival],
    process: str,
    holds: Callable[[str], bool],
    *,
    alone: bool = False,
    policy_wait: timedelta = POLICY_WAIT,
) -> list[ClaimResult]:
    """Claim for `process` all arrivals that are free; return the results, in the order given.

    `holds` returns whether this process judges a submission now; its own leases never count as expired.
    Crashed submissions are claimed only if `alone`. A submission that HTTP did not accept is refused if its
    policy is not in force after `policy_wait`. The number of statements does not depend on the number of
    arrivals.
    """
    locked = _lock(session, arrivals)
    # Of arrivals with the same id, only the first that matches its ledger row can be claimed.
    matching: dict[str, Arrival] = {}
    conflicting = [one for one in arrivals if not _is_known(one, locked)]
    for one in arrivals:
        if _is_known(one, locked):
            matching.setdefault(one.submission.id, one)

    decided = _decided(session, matching, locked)
    claimant = _Claimant(process, holds, alone, database_now(session))
    locked = _count_crashes(session, claimant, {name: locked[name] for name in matching})
    found = {
        name: ClaimResult(
            ClaimStatus.DECIDED if name in decided else claimant.status(locked[name], one),
            crashes=locked[name].crashes,
            traceparent=locked[name].traceparent,
            since=locked[name].since,
        )
        for name, one in matching.items()
    }
    by_status = _by_status(matching, found)
    if free := by_status[ClaimStatus.CLAIMED]:
        found |= _take(session, claimant, free, locked)
    for status, pause in _UNCLAIMED.items():
        _publish_later(session, by_status[status], locked, pause)
    if waiting := by_status[ClaimStatus.NO_POLICY]:
        _wait_for_policies(session, waiting, locked, policy_wait)
    _close(session, by_status[ClaimStatus.DECIDED], locked)
    if conflicting:
        _record_conflicts(session, conflicting)
    return [_result(one, matching, found, conflicting) for one in arrivals]


def renew(session: Session, process: str, ids: Collection[str]) -> set[str]:
    """Extend the leases of those of `ids` that `process` still holds; return these."""
    return _update_claimed(session, process, ids, **_lease())


def expect(session: Session, ids: Collection[str]) -> None:
    """Postpone republishing crashed submissions that are queued locally; lapses if this process dies."""
    update_submissions(
        session,
        ids,
        SubmissionRow.publish_at.is_not(None),
        SubmissionRow.claimed_by.is_(None),
        SubmissionRow.claimed_until.is_(None),
        publish_at=moment(LEASE + GRACE),
        published_at=None,
    )


def release(session: Session, process: str, ids: Collection[str], how: ClaimRelease) -> set[str]:
    """Release those of `ids` that `process` still holds, without an outcome; return these."""
    again = submissions.after_patience() if how.pause is None else moment(how.pause)
    return _update_claimed(
        session,
        process,
        ids,
        claimed_by=None,
        # No copy of its message can start the next attempt before the pause ends.
        claimed_until=again if how.pause else None,
        publish_at=again,
        published_at=moment() if how.pause is None else None,
        attempts=SubmissionRow.attempts - (0 if how.counts else 1),
        waits_for=how.waits_for,
        error=how.reason,
    )


def take_back_crashes(session: Session, claims: Mapping[str, ClaimResult]) -> None:
    """Undo the crashes that others counted when these leases expired: the holder is alive."""
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
    """Insert new submissions, reset refused ones; lock all rows and return them.

    In the order of their ids, so that two workers with the same submissions never deadlock.
    """
    firsts = {one.submission.id: one for one in reversed(arrivals)}
    rows = [
        submissions.entry(one.submission, one.source, one.pending_source) | {"id": name, "publish_at": None}
        for name, one in sorted(firsts.items())
    ]
    if not rows:
        return {}
    insert = insert_into(session, SubmissionRow, updated_at=moment())
    was_refused = SubmissionRow.state == "refused"
    anew = {
        name: case((was_refused, insert.excluded[name]), else_=getattr(SubmissionRow, name))
        for name in (rows[0].keys() | {"created_at", "updated_at"}) - {"id"}
    }
    upsert = insert.on_conflict_do_update(index_elements=[SubmissionRow.id], set_=anew)
    # Bypass the session, which would read each existing row once more.
    found = session.connection().execute(upsert.returning(*_KNOWN), rows)
    return {row.id: _Known(*row) for row in found}


def _by_status(
    arrivals: Mapping[str, Arrival], found: Mapping[str, ClaimResult]
) -> defaultdict[ClaimStatus, list[Arrival]]:
    by_status: defaultdict[ClaimStatus, list[Arrival]] = defaultdict(list)
    for name, one in arrivals.items():
        by_status[found[name].status].append(one)
    return by_status


def _decided(session: Session, arrivals: Mapping[str, Arrival], locked: Mapping[str, _Known]) -> set[str]:
    """Return the ids of decided submissions without a pending second judgement."""
    query = select(DecisionRow.submission_id, DecisionRow.policy_digest).where(
        DecisionRow.submission_id.in_(arrivals)
    )
    digests: defaultdict[str, set[str | None]] = defaultdict(set)
    for name, digest in session.execute(query):
        digests[name].add(digest)
    return {name for name, found in digests.items() if _is_decided(arrivals[name], locked[name], found)}


def _is_decided(one: Arrival, known: _Known, digests: Collection[str | None]) -> bool:
    if known.state != "decided":
        return True
    if known.publish_at is None:
        return not _asks_again(one, known) or one.policy_digest in digests
    # A second judgement is pending, unless it was made and its worker died before it could record so.
    return one.policy_digest in digests or known.policy_digest in digests


def _asks_again(one: Arrival, known: _Known) -> bool:
    return one.submission.again not in {None, known.again}


def _count_crashes(session: Session, claimant: _Claimant, locked: dict[str, _Known]) -> dict[str, _Known]:
    """Count a crash for each expired lease, and return the updated rows."""
    expired = [known for known in locked.values() if claimant.is_expired(known)]
    if not expired:
        return locked
    again = moment(LEASE + GRACE)
    update_submissions(
        session,
        [known.id for known in expired],
        crashes=SubmissionRow.crashes + 1,
        claimed_by=None,
        claimed_until=None,
        # It is published again even if this process dies before it claims it.
        publish_at=again,
        published_at=None,
    )
    return locked | {
        known.id: replace(known, crashes=known.crashes + 1, claimed_by=None, claimed_until=None)
        for known in expired
    }


def _take(
    session: Session, claimant: _Claimant, arrivals: Sequence[Arrival], locked: Mapping[str, _Known]
) -> dict[str, ClaimResult]:
    """Claim these and return the results."""
    request = _request(arrivals, locked)
    before = request.pop("attempts", SubmissionRow.attempts)
    attempts = case((SubmissionRow.claimed_by == claimant.process, SubmissionRow.attempts), else_=before + 1)
    # By the database's clock, not by the clock of the process that inserted the row.
    is_new = SubmissionRow.publish_at.is_(None) & (SubmissionRow.state == "accepted")
    now = literal(claimant.now, SubmissionRow.created_at.type)
    first_known_at = case((is_new, now), else_=SubmissionRow.created_at)
    is_second = SubmissionRow.state == "decided"
    asked_at = case((is_second, SubmissionRow.updated_at), else_=SubmissionRow.created_at)
    taken = session.execute(
        update(SubmissionRow)
        .where(SubmissionRow.id.in_([one.submission.id for one in arrivals]))
        .values(
            claimed_by=claimant.process,
            attempts=attempts,
            created_at=first_known_at,
            waits_for=None,
            error=None,
            refuse_at=None,
            policy_digest=_by_id({one.submission.id: one.policy_digest for one in arrivals}),
            **request,
            **_lease(),
        )
        .returning(SubmissionRow.id, SubmissionRow.attempts, SubmissionRow.crashes, asked_at)
        .execution_options(synchronize_session=False)
    )
    return {
        name: ClaimResult(
            ClaimStatus.CLAIMED,
            attempts,
            crashes,
            age=max(timedelta(), claimant.now - asked),
            traceparent=locked[name].traceparent,
            since=locked[name].since,
        )
        for name, attempts, crashes, asked in taken
    }


def _publish_later(
    session: Session, arrivals: Sequence[Arrival], locked: Mapping[str, _Known], pause: timedelta
) -> None:
    """Have these published again after a pause, unless they have an outcome by then: they left the queue.

    The version that is in force here may decide them.
    """
    if pins := {one.submission.id: one.policy_digest for one in arrivals}:
        update_submissions(
            session,
            pins,
            policy_digest=_by_id(pins),
            publish_at=moment(pause),
            published_at=None,
            **_request(arrivals, locked),
        )


def _wait_for_policies(
    session: Session, arrivals: Sequence[Arrival], locked: Mapping[str, _Known], policy_wait: timedelta
) -> None:
    """Have submissions whose policy is not in force here published again after a growing pause."""
    new = [one.submission.id for one in arrivals if locked[one.submission.id].is_new]
    limit = case((SubmissionRow.id.in_(new), moment(policy_wait)), else_=SubmissionRow.refuse_at)
    update_submissions(
        session,
        [one.submission.id for one in arrivals],
        error=_by_id({one.submission.id: one.problem for one in arrivals}),
        waits_for=None,
        # The version that is in force when the policy comes back decides.
        policy_digest=None,
        publish_at=submissions.after_policy_pause(),
        published_at=None,
        refuse_at=limit if new else SubmissionRow.refuse_at,
        claimed_by=None,
        claimed_until=None,
        **_request(arrivals, locked),
    )


def _request(arrivals: Iterable[Arrival], locked: Mapping[str, _Known]) -> dict[str, Any]:
    """Return the columns of the request: a second judgement, and of which picture."""
    pairs = [(one, locked[one.submission.id]) for one in arrivals]
    columns: dict[str, Any] = {
        "again": _by_id({one.submission.id: one.submission.again or known.again for one, known in pairs})
    }
    if requests := [one for one, known in pairs if known.state == "decided" and known.publish_at is None]:
        columns |= _new_requests(requests)
    return columns


def _new_requests(requests: Sequence[Arrival]) -> dict[str, Any]:
    """Return the columns of second judgements that are requested only now; other rows keep their values.

    Restores from the message what the first decision cleared or overwrote: republishing reads these columns.
    """
    are_new = SubmissionRow.id.in_([one.submission.id for one in requests])
    requested: dict[InstrumentedAttribute[Any], dict[str, Any]] = {
        SubmissionRow.policy: {one.submission.id: one.submission.policy for one in requests},
        SubmissionRow.sha256: {one.submission.id: one.submission.sha256 for one in requests},
        SubmissionRow.pending_source: {one.submission.id: one.pending_source for one in requests},
    }
    columns: dict[str, Any] = {
        column.key: case(
            {name: literal(value, column.type) for name, value in values.items()},
            value=SubmissionRow.id,
            else_=column,
        )
        for column, values in requested.items()
    }
    # Attempts at the first judgement do not count against the second; crashes do.
    columns["attempts"] = case((are_new, SubmissionRow.crashes), else_=SubmissionRow.attempts)
    columns["published_again"] = case((are_new, 0), else_=SubmissionRow.published_again)
    # The age of a second judgement counts from its request.
    columns["updated_at"] = case((are_new, moment()), else_=SubmissionRow.updated_at)
    return columns


def _close(session: Session, arrivals: Sequence[Arrival], locked: Mapping[str, _Known]) -> None:
    """Close decided submissions, and record requests that an existing decision answers."""
    if left := [one.submission.id for one in arrivals if locked[one.submission.id].publish_at]:
        submissions.close(session, left)
    if asked := [one.submission for one in arrivals if _asks_again(one, locked[one.submission.id])]:
        requests = {one.id: one.again for one in asked}
        update_submissions(session, requests, again=_by_id(requests))


def _by_id(values: Mapping[str, str | None]) -> Any:
    """Return an expression for each row's value by its id; the plain value if all rows get the same."""
    if len(distinct := set(values.values())) == 1:
        return distinct.pop()
    return case({name: literal(value, FreeText) for name, value in values.items()}, value=SubmissionRow.id)


def _result(
    one: Arrival,
    matching: Mapping[str, Arrival],
    found: Mapping[str, ClaimResult],
    conflicting: Sequence[Arrival],
) -> ClaimResult:
    if any(one is other for other in conflicting):
        return ClaimResult(ClaimStatus.CONFLICT)
    is_first = one is matching[one.submission.id]
    return found[one.submission.id] if is_first else ClaimResult(ClaimStatus.IN_FLIGHT)


def _record_conflicts(session: Session, arrivals: Iterable[Arrival]) -> None:
    """Record arrivals that reuse another submission's id, each once."""
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
    # With RETURNING it is a single statement.
    session.connection().execute(insert.returning(SubmissionConflictRow.id), list(rows.values()))


def _lease() -> dict[str, ColumnElement[Any]]:
    return {
        "claimed_until": moment(LEASE),
        "publish_at": moment(LEASE + GRACE),
        "published_at": null(),
    }


def _update_claimed(session: Session, process: str, ids: Collection[str], **values: object) -> set[str]:
    return update_submissions(session, ids, SubmissionRow.claimed_by == process, **values)
