"""Claims: which worker process has a submission in hand, and how often one died of it.

A claim is a lease. Whoever holds it renews it, so that one which ran out says that its holder died.
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
#: After the end of a lease the submission is put on the queue again.
GRACE: Final = timedelta(seconds=1)
#: A submission of which so many workers died is judged by none any more.
MAX_CRASHES: Final = 3
#: One that failed in other ways so often is not tried again.
MAX_FAILURES: Final = 3
#: A message that names a policy that is in force nowhere is refused after this.
POLICY_WAIT: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A submission that reached a worker, and what the ledger has to keep of it."""

    submission: Submission
    #: Of the policy version that would decide it; None if its policy is not in force here.
    policy_digest: str | None
    #: Where the picture is, fit to be read; None where it came inside the message.
    source: Mapping[str, Any] | None
    #: The same whole: the source as the message says it.
    pending_source: Mapping[str, Any]
    #: Why its policy is not in force here; None if it is.
    problem: str | None = None


class ClaimStatus(Enum):
    """How a submission stands when it reaches a worker."""

    #: In hand here, from now on.
    CLAIMED = auto()
    #: Decided, and no second judgement was asked for since.
    DECIDED = auto()
    #: In hand elsewhere, or waiting for its next attempt; the ledger will publish it should that be needed.
    IN_HAND = auto()
    #: The id belongs to something else; recorded in `submission_conflicts`.
    CONFLICT = auto()
    #: A worker died of it: to be claimed by one that has nothing else in hand.
    CRASHED = auto()
    #: Too many workers died of it.
    POISON = auto()
    #: It failed too often.
    FAILING = auto()
    #: Its policy is not in force here: the ledger publishes it again after a pause.
    NO_POLICY = auto()
    #: Its policy did not come in time: to be refused.
    NO_POLICY_IN_TIME = auto()


#: Not claimed, though this process goes on with it: how long until it is published again if that fails.
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
    #: How often it was in hand, this time included.
    attempts: int = 0
    crashes: int = 0
    #: How long ago the ledger first knew the submission or, if it is judged again, the request for that.
    age: timedelta = field(default=timedelta(), compare=False)
    #: The trace that the submission belongs to, as the ledger knows it.
    traceparent: str | None = field(default=None, compare=False)
    #: Since when it has been undecided; None if it is decided, and judged once more.
    since: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ClaimRelease:
    """How a claim ends without an outcome."""

    #: Whether it was an attempt that failed, or none at all.
    counts: bool
    #: How long until it is published again; None if its message is still there, and can be waited for.
    pause: timedelta | None
    #: The resource that is unavailable, as operators call it; None if it waits for none.
    waits_for: str | None = None
    #: Why it is not judged yet.
    reason: str | None = None


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
    refuse_at: datetime | None
    policy_digest: str | None
    again: str | None
    traceparent: str | None
    created_at: datetime

    @property
    def is_new(self) -> bool:
        """Whether only its message asks for this judgement, the first or another: HTTP promised nothing."""
        return self.publish_at is None

    @property
    def since(self) -> datetime | None:
        """Since when it has been undecided; None if it is decided, and judged once more."""
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

    def status(self, known: _Known, arrival: Arrival) -> ClaimStatus:
        """Return the status of an undecided submission that matches its ledger row."""
        if self._is_mine(known):
            if self.holds(known.id):
                return ClaimStatus.IN_HAND
        elif self._is_taken(known):
            return ClaimStatus.IN_HAND
        if arrival.policy_digest is None:
            is_late = known.refuse_at is not None and known.refuse_at <= self.now
            return ClaimStatus.NO_POLICY_IN_TIME if is_late else ClaimStatus.NO_POLICY
        if known.crashes >= MAX_CRASHES:
            return ClaimStatus.POISON
        # What this process let go of without being able to say so was no attempt.
        if known.failures - self._is_mine(known) >= MAX_FAILURES:
            return ClaimStatus.FAILING
        return ClaimStatus.CRASHED if known.crashes and not self.alone else ClaimStatus.CLAIMED

    def _is_mine(self, known: _Known) -> bool:
        return known.claimed_by == self.process

    def _is_taken(self, known: _Known) -> bool:
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
    """Claim for `process` what can be claimed; return how each arrival stands, in the order given.

    `holds` says what this process has claimed: no lease of its own ever runs out. Suspects are claimed only
    if `alone`. What HTTP did not accept is refused if its policy is not in force after `policy_wait`. The
    number of statements does not depend on that of arrivals.
    """
    locked = _lock(session, arrivals)
    # Of two with one id, the first that is what the ledger knows can be claimed.
    meant: dict[str, Arrival] = {}
    strange = [one for one in arrivals if not _is_known(one, locked)]
    for one in arrivals:
        if _is_known(one, locked):
            meant.setdefault(one.submission.id, one)

    decided = _decided(session, meant, locked)
    claimant = _Claimant(process, holds, alone, database_now(session))
    locked = _count_crashes(session, claimant, {name: locked[name] for name in meant})
    found = {
        name: ClaimResult(
            ClaimStatus.DECIDED if name in decided else claimant.status(locked[name], one),
            crashes=locked[name].crashes,
            traceparent=locked[name].traceparent,
            since=locked[name].since,
        )
        for name, one in meant.items()
    }
    by_status = _by_status(meant, found)
    if wanted := by_status[ClaimStatus.CLAIMED]:
        found |= _take(session, claimant, wanted, locked)
    for standing, pause in _UNCLAIMED.items():
        _note_arrival(session, by_status[standing], locked, pause)
    if waiting := by_status[ClaimStatus.NO_POLICY]:
        _wait_for_policies(session, waiting, locked, policy_wait)
    _close(session, by_status[ClaimStatus.DECIDED], locked)
    if strange:
        _note_conflicts(session, strange)
    return [_claim_of(one, meant, found, strange) for one in arrivals]


def renew(session: Session, process: str, ids: Collection[str]) -> set[str]:
    """Extend the leases of what `process` still has in hand of `ids`, and return what that is."""
    return _update_claimed(session, process, ids, **_lease())


def expect(session: Session, ids: Collection[str]) -> None:
    """Have suspects that wait here for their turn published only when this process stops saying so."""
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
    """Let go of what `process` still has in hand of `ids`, without an outcome; return what that is."""
    again = submissions.after_patience() if how.pause is None else moment(how.pause)
    return _update_claimed(
        session,
        process,
        ids,
        claimed_by=None,
        # However many copies of its message there are, none is the next attempt before its time.
        claimed_until=again if how.pause else None,
        publish_at=again,
        published_at=moment() if how.pause is None else None,
        attempts=SubmissionRow.attempts - (0 if how.counts else 1),
        waits_for=how.waits_for,
        error=how.reason,
    )


def take_back_crashes(session: Session, claims: Mapping[str, ClaimResult]) -> None:
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
    insert = insert_into(session, SubmissionRow, updated_at=moment())
    was_refused = SubmissionRow.state == "refused"
    anew = {
        name: case((was_refused, insert.excluded[name]), else_=getattr(SubmissionRow, name))
        for name in (rows[0].keys() | {"created_at", "updated_at"}) - {"id"}
    }
    upsert = insert.on_conflict_do_update(index_elements=[SubmissionRow.id], set_=anew)
    # Beside the session, which would ask for each row that was not new once more.
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
    """Return the ids of what is decided, and has no second judgement to come."""
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
    # A second judgement is on its way, unless it was made and its worker died before it could say so.
    return one.policy_digest in digests or known.policy_digest in digests


def _asks_again(one: Arrival, known: _Known) -> bool:
    return one.submission.again not in {None, known.again}


def _count_crashes(session: Session, claimant: _Claimant, locked: dict[str, _Known]) -> dict[str, _Known]:
    """Count what was in hand when its holder died, and return the rows as they are then."""
    died = [known for known in locked.values() if claimant.is_late(known)]
    if not died:
        return locked
    again = moment(LEASE + GRACE)
    update_submissions(
        session,
        [known.id for known in died],
        crashes=SubmissionRow.crashes + 1,
        claimed_by=None,
        claimed_until=None,
        # Published again even if this process dies before it has claimed it.
        publish_at=again,
        published_at=None,
    )
    return locked | {
        known.id: replace(known, crashes=known.crashes + 1, claimed_by=None, claimed_until=None)
        for known in died
    }


def _take(
    session: Session, claimant: _Claimant, arrivals: Sequence[Arrival], locked: Mapping[str, _Known]
) -> dict[str, ClaimResult]:
    """Write the claims on these and return them."""
    request = _request(arrivals, locked)
    before = request.pop("attempts", SubmissionRow.attempts)
    attempts = case((SubmissionRow.claimed_by == claimant.process, SubmissionRow.attempts), else_=before + 1)
    # By the database's clock, not by that of the process that inserted the row.
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


def _note_arrival(
    session: Session, arrivals: Sequence[Arrival], locked: Mapping[str, _Known], pause: timedelta
) -> None:
    """Publish these again after a pause, unless they have an outcome by then: they are no longer queued.

    The outcome may be a decision by the version that is in force here.
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
    """Have submissions whose policy is not in force here published again after a pause that grows."""
    new = [one.submission.id for one in arrivals if locked[one.submission.id].is_new]
    limit = case((SubmissionRow.id.in_(new), moment(policy_wait)), else_=SubmissionRow.refuse_at)
    update_submissions(
        session,
        [one.submission.id for one in arrivals],
        error=_by_id({one.submission.id: one.problem for one in arrivals}),
        waits_for=None,
        # Whichever version is in force when the policy comes back decides.
        policy_digest=None,
        publish_at=submissions.after_policy_pause(),
        published_at=None,
        refuse_at=limit if new else SubmissionRow.refuse_at,
        claimed_by=None,
        claimed_until=None,
        **_request(arrivals, locked),
    )


def _request(arrivals: Iterable[Arrival], locked: Mapping[str, _Known]) -> dict[str, Any]:
    """Return the columns that say what is asked for: a second judgement, and of which picture."""
    pairs = [(one, locked[one.submission.id]) for one in arrivals]
    columns: dict[str, Any] = {
        "again": _by_id({one.submission.id: one.submission.again or known.again for one, known in pairs})
    }
    if requests := [one for one, known in pairs if known.state == "decided" and known.publish_at is None]:
        columns |= _new_requests(requests)
    return columns


def _new_requests(requests: Sequence[Arrival]) -> dict[str, Any]:
    """Return the columns of second judgements that are asked for only now; other rows keep what they have.

    What the first decision emptied or overwrote is again as the message says it: it is published from these.
    """
    are_new = SubmissionRow.id.in_([one.submission.id for one in requests])
    said: dict[InstrumentedAttribute[Any], dict[str, Any]] = {
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
        for column, values in said.items()
    }
    # Attempts at the first judgement do not count against the second; crashes do.
    columns["attempts"] = case((are_new, SubmissionRow.crashes), else_=SubmissionRow.attempts)
    columns["published_again"] = case((are_new, 0), else_=SubmissionRow.published_again)
    # The age of the second judgement counts from its request.
    columns["updated_at"] = case((are_new, moment()), else_=SubmissionRow.updated_at)
    return columns


def _close(session: Session, arrivals: Sequence[Arrival], locked: Mapping[str, _Known]) -> None:
    """Move on what is decided, and remember requests that were answered by a decision there was."""
    if left := [one.submission.id for one in arrivals if locked[one.submission.id].publish_at]:
        submissions.close(session, left)
    if asked := [one.submission for one in arrivals if _asks_again(one, locked[one.submission.id])]:
        requests = {one.id: one.again for one in asked}
        update_submissions(session, requests, again=_by_id(requests))


def _by_id(values: Mapping[str, str | None]) -> Any:
    """Return the value of each row by its id; the very value if all rows get the same."""
    if len(distinct := set(values.values())) == 1:
        return distinct.pop()
    return case({name: literal(value, FreeText) for name, value in values.items()}, value=SubmissionRow.id)


def _claim_of(
    one: Arrival, meant: Mapping[str, Arrival], found: Mapping[str, ClaimResult], strange: Sequence[Arrival]
) -> ClaimResult:
    if any(one is other for other in strange):
        return ClaimResult(ClaimStatus.CONFLICT)
    return found[one.submission.id] if one is meant[one.submission.id] else ClaimResult(ClaimStatus.IN_HAND)


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


def _lease() -> dict[str, ColumnElement[Any]]:
    return {
        "claimed_until": moment(LEASE),
        "publish_at": moment(LEASE + GRACE),
        "published_at": null(),
    }


def _update_claimed(session: Session, process: str, ids: Collection[str], **values: object) -> set[str]:
    return update_submissions(session, ids, SubmissionRow.claimed_by == process, **values)
