"""Claims: which worker process judges a submission, and what the ledger records of those not claimed.

A claim is a lease that its holder renews: an expired lease means that the holder died.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import case, literal, select, update
from sqlalchemy.orm import Session

from worker.domain.submissions.fingerprint import fingerprint
from worker.store.engine.clock import database_now, moment
from worker.store.engine.inserting import insert_into
from worker.store.engine.tables import DecisionRow, SubmissionConflictRow, SubmissionRow
from worker.store.engine.updating import by_id, update_submissions
from worker.store.submissions import claim_leases, due_times, outcomes
from worker.store.submissions.arrivals import Arrival, Known, is_known, lock
from worker.store.submissions.claim_status import Claimant, ClaimResult, ClaimStatus
from worker.store.submissions.second_judgements import asks_again, request_columns

#: How long a message waits for its policy to come into force before it is refused.
POLICY_WAIT: Final = timedelta(minutes=1)
#: Not claimed, but handled by this process: how long until it is published again if that fails.
_UNCLAIMED: Final = {
    ClaimStatus.CRASHED: due_times.LEASE + due_times.GRACE,
    ClaimStatus.POISON: due_times.PATIENCE,
    ClaimStatus.FAILING: due_times.PATIENCE,
    ClaimStatus.NO_POLICY_IN_TIME: due_times.PATIENCE,
}


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
    locked = lock(session, arrivals)
    # Of arrivals with the same id, only the first that matches its ledger row can be claimed.
    matching: dict[str, Arrival] = {}
    conflicting = [one for one in arrivals if not is_known(one, locked)]
    for one in arrivals:
        if is_known(one, locked):
            matching.setdefault(one.submission.id, one)

    decided = _decided(session, matching, locked)
    claimant = Claimant(process, holds, alone, database_now(session))
    locked = claim_leases.count_crashes(session, claimant, {name: locked[name] for name in matching})
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


def _by_status(
    arrivals: Mapping[str, Arrival], found: Mapping[str, ClaimResult]
) -> defaultdict[ClaimStatus, list[Arrival]]:
    by_status: defaultdict[ClaimStatus, list[Arrival]] = defaultdict(list)
    for name, one in arrivals.items():
        by_status[found[name].status].append(one)
    return by_status


def _decided(session: Session, arrivals: Mapping[str, Arrival], locked: Mapping[str, Known]) -> set[str]:
    """Return the ids of decided submissions without a pending second judgement."""
    query = select(DecisionRow.submission_id, DecisionRow.policy_digest).where(
        DecisionRow.submission_id.in_(arrivals)
    )
    digests: defaultdict[str, set[str | None]] = defaultdict(set)
    for name, digest in session.execute(query):
        digests[name].add(digest)
    return {name for name, found in digests.items() if _is_decided(arrivals[name], locked[name], found)}


def _is_decided(one: Arrival, known: Known, digests: Collection[str | None]) -> bool:
    if known.state != "decided":
        return True
    if known.publish_at is None:
        return not asks_again(one, known) or one.policy_digest in digests
    # A second judgement is pending, unless it was made and its worker died before it could record so.
    return one.policy_digest in digests or known.policy_digest in digests


def _take(
    session: Session, claimant: Claimant, arrivals: Sequence[Arrival], locked: Mapping[str, Known]
) -> dict[str, ClaimResult]:
    """Claim these and return the results."""
    request = request_columns(arrivals, locked)
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
            policy_digest=by_id({one.submission.id: one.policy_digest for one in arrivals}),
            **request,
            **claim_leases.lease(),
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
    session: Session, arrivals: Sequence[Arrival], locked: Mapping[str, Known], pause: timedelta
) -> None:
    """Have these published again after a pause, unless they have an outcome by then: they left the queue.

    The version that is in force here may decide them.
    """
    if pins := {one.submission.id: one.policy_digest for one in arrivals}:
        update_submissions(
            session,
            pins,
            policy_digest=by_id(pins),
            publish_at=moment(pause),
            published_at=None,
            **request_columns(arrivals, locked),
        )


def _wait_for_policies(
    session: Session, arrivals: Sequence[Arrival], locked: Mapping[str, Known], policy_wait: timedelta
) -> None:
    """Have submissions whose policy is not in force here published again after a growing pause."""
    new = [one.submission.id for one in arrivals if locked[one.submission.id].is_new]
    limit = case((SubmissionRow.id.in_(new), moment(policy_wait)), else_=SubmissionRow.refuse_at)
    update_submissions(
        session,
        [one.submission.id for one in arrivals],
        error=by_id({one.submission.id: one.problem for one in arrivals}),
        waits_for=None,
        # The version that is in force when the policy comes back decides.
        policy_digest=None,
        publish_at=due_times.after_policy_pause(),
        published_at=None,
        refuse_at=limit if new else SubmissionRow.refuse_at,
        claimed_by=None,
        claimed_until=None,
        **request_columns(arrivals, locked),
    )


def _close(session: Session, arrivals: Sequence[Arrival], locked: Mapping[str, Known]) -> None:
    """Close decided submissions, and record requests that an existing decision answers."""
    if left := [one.submission.id for one in arrivals if locked[one.submission.id].publish_at]:
        outcomes.close(session, left)
    if asked := [one.submission for one in arrivals if asks_again(one, locked[one.submission.id])]:
        requests = {one.id: one.again for one in asked}
        update_submissions(session, requests, again=by_id(requests))


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
