"""The leases of claimed submissions: renewed, released, or expired, which counts as a crash."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, null
from sqlalchemy.orm import Session

from worker.store.engine.clock import moment
from worker.store.engine.tables import SubmissionRow
from worker.store.engine.updating import update_submissions
from worker.store.submissions import due_times
from worker.store.submissions.arrivals import Known
from worker.store.submissions.claim_status import Claimant, ClaimResult


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


def renew(session: Session, process: str, ids: Collection[str]) -> set[str]:
    """Extend the leases of those of `ids` that `process` still holds; return these."""
    return _update_claimed(session, process, ids, **lease())


def expect(session: Session, ids: Collection[str]) -> None:
    """Postpone republishing crashed submissions that are queued locally; lapses if this process dies."""
    update_submissions(
        session,
        ids,
        SubmissionRow.publish_at.is_not(None),
        SubmissionRow.claimed_by.is_(None),
        SubmissionRow.claimed_until.is_(None),
        publish_at=moment(due_times.LEASE + due_times.GRACE),
        published_at=None,
    )


def release(session: Session, process: str, ids: Collection[str], how: ClaimRelease) -> set[str]:
    """Release those of `ids` that `process` still holds, without an outcome; return these."""
    again = due_times.after_patience() if how.pause is None else moment(how.pause)
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


def count_crashes(session: Session, claimant: Claimant, locked: dict[str, Known]) -> dict[str, Known]:
    """Count a crash for each expired lease, and return the updated rows."""
    expired = [known for known in locked.values() if claimant.is_expired(known)]
    if not expired:
        return locked
    again = moment(due_times.LEASE + due_times.GRACE)
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


def lease() -> dict[str, ColumnElement[Any]]:
    """Return the columns of a lease that begins now."""
    return {
        "claimed_until": moment(due_times.LEASE),
        "publish_at": moment(due_times.LEASE + due_times.GRACE),
        "published_at": null(),
    }


def _update_claimed(session: Session, process: str, ids: Collection[str], **values: object) -> set[str]:
    return update_submissions(session, ids, SubmissionRow.claimed_by == process, **values)
